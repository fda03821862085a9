// A folder of a test's own on the real file system, gone with everything in it when the object goes.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "reactor/check.h"

namespace posthaste::reactor::testing {

struct TemporaryFolder {
  std::string path = ::testing::TempDir() + "posthaste-reactor-XXXXXX";
  TemporaryFolder() { CHECK(::mkdtemp(path.data()) != nullptr, "mkdtemp {}", path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace posthaste::reactor::testing
