// What a backend's author provides so that the one script of operations (backend_conformance_test.cc) runs on it: a few
// cores with a backend each, driven by the test's own thread, and a way to let the world go on.
//
//   INSTANTIATE_TEST_SUITE_P(Uring, BackendConformance, ::testing::Values(RigKind{"6_1", make_uring_6_1_rig}),
//   rig_name);
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "reactor/backend.h"

namespace posthaste::reactor::testing {

class Rig {
 public:
  static constexpr CoreId kCores = 2;

  Rig() = default;
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  virtual ~Rig() = default;

  // Of core 0 or 1 of one host. Without a sink: completions call op.complete() directly.
  virtual Backend& backend(CoreId core) = 0;
  // Lets operations complete on all cores until `done()`; false when nothing more happens (simulated) or a generous
  // time-out passed (real): the test then fails.
  virtual bool run_until(const std::function<bool()>& done) = 0;
  // Lets the world go on for a while that is long enough for anything that is going to happen by itself.
  virtual void settle() = 0;
  // An existing, empty folder, without a slash at the end.
  virtual std::string folder() = 0;
  // An address to listen on, port 0: "127.0.0.1:0".
  virtual std::string listen_address() = 0;
  // An address where nobody listens.
  virtual std::string refused_address() = 0;
  // How many kReceiveSelect buffers a core has, for the test that takes them all.
  virtual uint32_t select_buffers() = 0;
};

struct RigKind {
  const char* name;
  std::unique_ptr<Rig> (*make)();
};

inline std::string rig_name(const ::testing::TestParamInfo<RigKind>& info) { return info.param.name; }

// The suite; its tests are in backend_conformance_test.cc.
class BackendConformance : public ::testing::TestWithParam<RigKind> {
 protected:
  std::unique_ptr<Rig> rig_ = GetParam().make();
};

}  // namespace posthaste::reactor::testing
