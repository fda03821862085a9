// The names that a decoded request holds as views of its frame, moved into memory of their own, so that the frame can
// be given back.
#pragma once
#include <string_view>

#include "reactor/check.h"
#include "reactor/recycled.h"

namespace posthaste::broker {

class KeptNames {
 public:
  // Room for names of `bytes` in total. Must not be moved or copied once a name is kept.
  explicit KeptNames(size_t bytes) { text_.reserve(bytes); }
  KeptNames(const KeptNames&) = delete;
  KeptNames& operator=(const KeptNames&) = delete;

  // The same name, as a view of the memory here.
  std::string_view keep(std::string_view name) {
    CHECK(name.size() <= text_.capacity() - text_.size(), "no room was made for a name");
    const size_t at = text_.size();
    text_.insert(text_.end(), name.begin(), name.end());
    return {text_.data() + at, name.size()};
  }

 private:
  reactor::RecycledVector<char> text_;
};

}  // namespace posthaste::broker
