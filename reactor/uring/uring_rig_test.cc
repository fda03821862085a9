// The conformance script on the real backend: both profiles, on the test's own thread.
#include <gtest/gtest.h>

#include "reactor/testing/conformance_rig.h"
#include "reactor/testing/temporary_folder.h"
#include "reactor/uring/uring_backend.h"

namespace posthaste::reactor::testing {
namespace {

class UringRig final : public Rig {
 public:
  explicit UringRig(uring::Profile profile) {
    uring::UringOptions options;
    options.ring.profile = profile;
    options.ring.entries = 32;  // small: a full ring is part of the script
    options.receive_buffers = kSelectBuffers;
    options.register_memory = true;
    auto wakes = uring::WakeBoard::create(kCores);
    CHECK(wakes);
    wakes_ = std::move(*wakes);
    for (CoreId core = 0; core < kCores; ++core) {
      auto backend = uring::UringBackend::create(core, *wakes_, options);
      CHECK(backend, "{}", backend.error());
      backends_.push_back(std::move(*backend));
    }
  }

  Backend& backend(CoreId core) override { return *backends_[core]; }

  bool run_until(const std::function<bool()>& done) override {
    constexpr Duration kLimit = 20s;
    const Instant end = backends_[0]->now() + kLimit;
    while (!done()) {
      const Instant now = backends_[0]->now();
      if (now >= end) return false;
      // One thread drives both cores: each in turn waits for a short time only.
      for (auto& backend : backends_) {
        if (!done()) backend->wait(now + 50us);
      }
    }
    return true;
  }

  void settle() override {
    const Instant end = backends_[0]->now() + 20ms;
    run_until([&] { return backends_[0]->now() >= end; });
  }

  std::string folder() override { return folder_.path; }
  std::string listen_address() override { return "127.0.0.1:0"; }
  std::string refused_address() override { return "127.0.0.1:1"; }
  uint32_t select_buffers() override { return kSelectBuffers; }

 private:
  static constexpr uint32_t kSelectBuffers = 4;
  TemporaryFolder folder_;  // outlives what has files open there
  std::unique_ptr<uring::WakeBoard> wakes_;
  std::vector<std::unique_ptr<uring::UringBackend>> backends_;
};

std::unique_ptr<Rig> make_6_1() { return std::make_unique<UringRig>(uring::Profile::k6_1); }
std::unique_ptr<Rig> make_6_12() { return std::make_unique<UringRig>(uring::Profile::k6_12); }

INSTANTIATE_TEST_SUITE_P(Uring, BackendConformance,
                         ::testing::Values(RigKind{"k6_1", make_6_1}, RigKind{"k6_12", make_6_12}), rig_name);

}  // namespace
}  // namespace posthaste::reactor::testing
