// What host names mean in a simulated world: one table for all its hosts, as a name server's. An ip means itself and
// "localhost" 127.0.0.1, without asking; every other name takes `resolve` of options.h.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/result.h"

namespace posthaste::reactor::simulated {

class Names {
 public:
  void set(const std::string& name, std::vector<std::string> ips) { entries_[name] = {.ips = std::move(ips)}; }
  void remove(const std::string& name) { entries_.erase(name); }
  // A lookup of this name gets no answer until its time-out.
  void silence(const std::string& name) { entries_[name].silent = true; }

  struct Answer {
    Result<std::vector<std::string>> ips;
    bool asked = true;    // takes time
    bool silent = false;  // takes for ever
  };
  Answer look_up(std::string_view name) const;

 private:
  struct Entry {
    std::vector<std::string> ips;
    bool silent = false;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace posthaste::reactor::simulated
