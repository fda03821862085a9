// The simulated side of the Backend interface: one per core and life of a host. Operations go to the host's Disk or the
// world's Network and come back after a virtual latency; the world decides when this core sees them. No system call.
#pragma once
#include <memory>
#include <vector>

#include "reactor/backend.h"
#include "reactor/simulated/disk.h"
#include "reactor/simulated/timeline.h"

namespace posthaste::reactor::simulated {

class Host;
class Network;
using EndpointId = uint32_t;  // a socket end or listener in the Network
inline constexpr EndpointId kNoEndpoint = UINT32_MAX;

class SimulatedBackend final : public Backend {
 public:
  SimulatedBackend(Host& host, CoreId core);
  ~SimulatedBackend() override;

  void submit(std::span<Op* const> operations) override;
  // Only for a backend without a Core (conformance tests): lets the world run until something here is done, this core
  // was woken or the deadline passed; then calls complete(). The cores of a World never call it.
  void wait(Instant deadline) override;
  void wake(CoreId core) override;
  Instant now() override;
  WallMillis wall_now() override;
  uint64_t random() override { return random_.next(); }
  Result<std::span<std::byte>> allocate_memory(size_t bytes) override;
  void memory_freed(std::span<std::byte> memory) override;
  void recycle(Slice selected) override;
  int detach(FileId socket) override;
  Result<FileId> adopt(int detached) override;
  std::string local_address(FileId socket) override;
  void log(LogLevel level, std::string_view line) override;

  // --- For Host and Network.
  CoreId core() const { return core_; }
  Host& host() { return host_; }
  // Calls complete() for all that is done, in a drawn order.
  void deliver_completions();
  bool has_completions() const { return !done_.empty(); }
  size_t in_flight() const { return in_flight_; }
  void disk_done(uint32_t slot, uint32_t generation);
  // Operations in flight on the disk get a new duration; each ends no later than it would have. Returns how long the
  // last of it would have taken, in nanoseconds.
  int64_t hurry_disk();
  void finish_at(const Event& event);  // a result that was known at submit and waited for its time

  // An operation in flight, named so that a late event cannot hit its successor.
  struct Pending {
    uint32_t slot = 0;
    uint32_t generation = 0;
  };
  Op* find(Pending pending);
  void finish(Pending pending, int64_t result);
  FileId add_socket(EndpointId endpoint);
  // A free buffer for kReceiveSelect; empty if all are out.
  Slice take_select_buffer();

 private:
  // A FileId is a slot and its generation, so that a stale one is noticed.
  static constexpr uint32_t kFileSlotBits = 16;
  static constexpr uint32_t kFileSlotMask = (1U << kFileSlotBits) - 1;
  static constexpr uint32_t kFileGenerationMask = 0x7fff;  // the sign stays clear
  enum class FileKind : uint8_t { kFree, kDisk, kSocket };
  struct FileSlot {
    FileKind kind = FileKind::kFree;
    uint32_t generation = 0;
    uint32_t index = 0;  // Disk::Handle or EndpointId
  };
  struct Slot {
    Op* op = nullptr;
    uint32_t generation = 0;
    bool on_disk = false;
    Disk::Ticket ticket = 0;
    int64_t due = 0;  // of an operation on the disk
  };
  struct GiveBack {
    size_t bytes = 0;
    void operator()(std::byte* memory) const;
  };

  void start(Op& op);
  void start_on_disk(Op& op, Pending pending);
  void resolve(Op& op, Pending pending);
  void schedule_disk_done(Pending pending, int64_t at);
  void cancel(Op& op, Pending pending);
  void finish_later(Pending pending, int64_t result, int64_t delay);
  FileId add_file(FileKind kind, uint32_t index);
  void drop_file(FileId file);
  FileSlot file(FileId id) const;
  int64_t latency(const Op& op);
  void trace_submit(const Op& op);

  Host& host_;
  Timeline& timeline_;
  Network& network_;
  CoreId core_;
  Random random_;
  bool woken_ = false;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  size_t in_flight_ = 0;
  std::vector<Op*> done_;
  std::vector<FileSlot> files_;
  std::vector<uint32_t> free_files_;
  std::vector<std::unique_ptr<std::byte, GiveBack>> memory_;
  std::unique_ptr<std::byte[]> select_memory_;
  std::vector<uint32_t> free_select_buffers_;
};

}  // namespace posthaste::reactor::simulated
