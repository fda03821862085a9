// EngineHost: what the cores of one store share, from recovery to close (engine.h).
#include <utility>

#include "reactor/mail.h"
#include "storage/engine.h"
#include "storage/journal/contributor.h"
#include "storage/journal/journal_stream.h"
#include "storage/recovery/checkpoint.h"
#include "storage/recovery/recovery.h"
#include "storage/space/folder_watch.h"
#include "storage/space/space_reserve.h"

namespace posthaste::storage {

using reactor::Core;
using reactor::CoreId;
using reactor::failure;
using reactor::Result;
using reactor::Task;

namespace {
std::string table_path_in(const std::string& folder, size_t slot) {
  return fmt::format("{}/table-{}.snap", folder, slot);
}
}  // namespace

EngineHost::EngineHost(EngineOptions options, CoreId cores)
    : options_(std::move(options)), cores_(cores), placement_(cores), engines_(cores), opened_(cores) {
  CHECK(options_.streams >= 1 && options_.streams <= cores, "streams={} cores={}", options_.streams, cores);
  CHECK(options_.journal_file_bytes % kBlock == 0 && options_.commit_bytes_max % kBlock == 0);
  CHECK(options_.gather_bytes_min >= kBlock && options_.staging_bytes % kBlock == 0);
  options_.staging_bytes = std::min(options_.staging_bytes, options_.commit_bytes_max);
  CHECK(options_.journal_files >= JournalStream::kFilesAtStart, "journal_files={}", options_.journal_files);
  // A file holds its header and at least one largest sub-block with a commit header before it.
  CHECK(options_.staging_bytes >= 2 * kBlock &&
            uint64_t{options_.commit_bytes_max} + 2 * kBlock <= options_.journal_file_bytes,
        "journal files of {} bytes are too small for commits of {}", options_.journal_file_bytes,
        options_.commit_bytes_max);
  // In the place of each core there is room for a record with a whole prefix.
  for (uint16_t stream = 0; stream < options_.streams; ++stream) {
    CHECK(std::cmp_greater_equal(journal_options(stream).remote_sub_block_bytes_max(), 2 * kBlock),
          "journal files of {} bytes are too small for {} cores", options_.journal_file_bytes, cores_of_stream(stream));
  }
}

EngineHost::~EngineHost() = default;

// Streams get equal runs of cores.
uint16_t EngineHost::stream_of(CoreId core) const {
  return static_cast<uint16_t>(uint32_t{core} * options_.streams / cores_);
}
CoreId EngineHost::stream_owner(uint16_t stream) const {
  CoreId core = 0;
  while (stream_of(core) != stream) ++core;
  return core;
}
uint16_t EngineHost::cores_of_stream(uint16_t stream) const {
  uint16_t count = 0;
  for (CoreId core = 0; core < cores_; ++core) count = static_cast<uint16_t>(count + (stream_of(core) == stream));
  return count;
}
std::string EngineHost::stream_directory(uint16_t stream) const {
  return fmt::format("{}/journal/s{:02}", options_.data_directory, stream);
}
JournalOptions EngineHost::journal_options(uint16_t stream) const {
  return {.directory = stream_directory(stream),
          .file_bytes = options_.journal_file_bytes,
          .files = options_.journal_files,
          .commit_bytes_max = options_.commit_bytes_max,
          .staging_bytes = options_.staging_bytes,
          .cores = cores_of_stream(stream),
          .frontier_delay = options_.frontier_delay};
}
std::string EngineHost::table_path(size_t slot) const { return table_path_in(options_.data_directory, slot); }

Task<std::optional<std::string>> EngineHost::owner_in_tables(Core& core, std::string data_directory) {
  std::optional<TableSnapshot> newest;
  for (size_t slot = 0; slot < 2; ++slot) {
    auto bytes = co_await read_file(core, table_path_in(data_directory, slot));
    if (!bytes) continue;
    auto table = decode_table(*bytes);
    if (table && (!newest || table->number > newest->number)) newest = std::move(*table);
  }
  if (!newest || newest->owner.empty()) co_return std::nullopt;
  co_return newest->owner;
}

Task<Result<RecoveryReport>> EngineHost::recover(Core& core) {
  CHECK(core.id() == 0 && checkpoint_ == nullptr);
  reserve_ = std::make_unique<SpaceReserve>(*this, core);
  Recovery recovery(*this, core);
  Result<RecoveryReport> report = co_await recovery.run();
  if (report) {
    if (auto opened = co_await reserve_->open(); !opened) {
      error_text_ = fmt::format("no space can be reserved in {}", options_.data_directory);
      report = failure(opened.error());
    }
  }
  if (!report) {
    co_await reserve_->close();
    if (lock_.valid()) (void)co_await lock_.close();
    co_return report;
  }
  checkpoint_ = std::make_unique<Checkpoint>(*this, core, recovered_.number, newest_slot_);
  co_return report;
}

Task<Result<Engine*>> EngineHost::open(Core& core) {
  CHECK(engines_[core.id()] == nullptr);
  auto engine = std::make_unique<Engine>(*this, core);
  auto opened = co_await engine->open(recovered_);
  if (!opened) co_return failure(opened.error());
  engines_[core.id()] = std::move(engine);
  if (opened_[core.id()] != nullptr) opened_[core.id()]->set();
  const auto credit = co_await reactor::on_core(
      core, 0,
      [host = this, id = core.id()](Core&) {
        // Every core has taken its own partitions: the entries are not needed any more.
        if (++host->open_engines_ == host->cores_) host->recovered_.entries = std::vector<TableEntry>();
        return host->reserve_->credit(id);
      },
      reactor::MessageClass::kPush);
  engines_[core.id()]->take_credit(credit);
  engines_[core.id()]->grow_journal();
  if (core.id() == 0) {
    reserve_->begin();
    watch_ = std::make_unique<FolderWatch>(*this, core);
    watch_->begin();
    core.scope().spawn_job(checkpoint_->run());
  }
  co_return engines_[core.id()].get();
}

Task<Engine*> EngineHost::when_open(Core& there) {
  if (engines_[there.id()] == nullptr) {
    auto& opened = opened_[there.id()];
    if (opened == nullptr) opened = std::make_unique<reactor::Event>(there);
    co_await opened->wait();
  }
  co_return engines_[there.id()].get();
}

Task<Result<void>> EngineHost::close(Core& core) {
  CHECK(core.id() == 0);
  co_await checkpoint_->wait_until_closed();
  checkpoint_->stop();
  co_await checkpoint_->ended();
  co_await checkpoint_->write_last();
  if (watch_ != nullptr) co_await watch_->close();
  co_await reserve_->close();
  co_return co_await lock_.close();
}

Task<void> EngineHost::abandon(Core& core) {
  CHECK(core.id() == 0);
  checkpoint_->stop();
  co_await checkpoint_->ended();
  if (watch_ != nullptr) co_await watch_->close();
  co_await reserve_->close();
  (void)co_await lock_.close();
}

}  // namespace posthaste::storage
