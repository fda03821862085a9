// The conformance script on the simulated backend: with latencies, and with everything at once.
#include <gtest/gtest.h>

#include "reactor/simulated/world.h"
#include "reactor/testing/conformance_rig.h"

namespace posthaste::reactor::testing {
namespace {

using simulated::Host;
using simulated::SimulatedBackend;
using simulated::World;
using simulated::WorldOptions;

class SimulatedRig final : public Rig {
 public:
  explicit SimulatedRig(WorldOptions options) : world_(1, quiet(options)) {
    host_ = &world_.add_host({.cores = kCores}, "10.0.0.1", {});
    host_->disk().make_directories("/conformance");
    host_->start_bare();
  }

  Backend& backend(CoreId core) override { return host_->backend(core); }
  bool run_until(const std::function<bool()>& done) override {
    while (!done()) {
      if (!deliver() && !world_.step()) return done();
    }
    return true;
  }
  void settle() override {
    const Duration end = world_.elapsed() + 1s;
    bool over = false;
    world_.after(1s, [&] { over = true; });
    run_until([&] { return over && world_.elapsed() >= end; });
  }
  std::string folder() override { return "/conformance"; }
  std::string listen_address() override { return "127.0.0.1:0"; }
  std::string refused_address() override { return "127.0.0.1:1"; }
  uint32_t select_buffers() override { return world_.options().select_buffers; }

 private:
  // The script sends small messages and wants them whole, as a loopback device delivers them.
  static WorldOptions quiet(WorldOptions options) {
    options.piece_bytes_min = options.piece_bytes_max = size_t{1} << 20;
    options.short_receive_per_million = 0;
    options.select_buffers = 4;
    return options;
  }
  bool deliver() {
    bool any = false;
    for (CoreId core = 0; core < kCores; ++core) {
      any |= host_->backend(core).has_completions();
      host_->backend(core).deliver_completions();
    }
    return any;
  }

  World world_;
  Host* host_;
};

std::unique_ptr<Rig> make_realistic() { return std::make_unique<SimulatedRig>(WorldOptions{}); }
std::unique_ptr<Rig> make_instant() { return std::make_unique<SimulatedRig>(WorldOptions::instant()); }

INSTANTIATE_TEST_SUITE_P(Simulated, BackendConformance,
                         ::testing::Values(RigKind{"realistic", make_realistic}, RigKind{"instant", make_instant}),
                         rig_name);

// The other way to drive a backend without cores.
TEST(SimulatedBackendAlone, WaitLetsTheWorldRun) {
  World world(2);
  Host& host = world.add_host({.cores = 2}, "10.0.0.1", {});
  host.start_bare();
  SimulatedBackend& backend = host.backend(0);
  struct Counted : Op {
    int completions = 0;
  } op;
  op.kind = OpKind::kMakeDirectory;
  op.path = "/d";
  op.complete = [](Op& self) { ++static_cast<Counted&>(self).completions; };
  Op* const pointer = &op;
  backend.submit({&pointer, 1});
  backend.wait(backend.now() + 10s);
  EXPECT_EQ(op.completions, 1);
  EXPECT_EQ(op.result, 0);
  const Instant before = backend.now();
  backend.wait(before + 10ms);
  EXPECT_EQ(op.completions, 1);
  EXPECT_GE(backend.now() - before, 10ms - 1us) << "nothing happened until the deadline";
}

}  // namespace
}  // namespace posthaste::reactor::testing
