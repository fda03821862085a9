#include "storage/log/partition.h"

#include <algorithm>

#include "storage/engine.h"
#include "storage/folder_names.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {
int64_t end_to_go_on_from(const TableEntry& entry) {
  return entry.end_offset - (planted(kBugs["offset-reused"]) && entry.end_offset > entry.log_start ? 1 : 0);
}

std::optional<HeaderProof> proof_of(LogBytes& bytes, const TableEntry& entry) {
  const std::optional<HeaderProof> proof = proof_behind(entry.producers);
  return proof && bytes.adopt_proof(*proof) ? proof : std::nullopt;
}
}  // namespace

Partition::Partition(Engine& engine, const TableEntry& entry, const LogConfig& config)
    : CoreOwned(engine.core()),
      engine_(engine),
      uid_(entry.uid),
      topic_id_(entry.topic_id),
      topic_name_(entry.topic_name),
      partition_(entry.partition),
      generation_(entry.generation),
      config_(engine.share(config)),
      log_start_(entry.log_start),
      epochs_(entry.epochs),
      holes_from_(entry.holes_from),
      producers_(config.producers, engine.producer_count()),
      damage_(entry.damage),
      folder_{.is_created = entry.directory_created, .was_tried = entry.directory_created},
      bytes_(entry.segments, end_to_go_on_from(entry)),
      commit_(bytes_, {bytes_.end().linear, entry.end_offset}, entry.last_meta_lsn, proof_of(bytes_, entry)),
      reader_(*this),
      changed_(engine.core()) {
  high_watermark_ = entry.high_watermark;
  producers_known_ = !damage_.damaged;
  if (!entry.producers.empty()) {
    // Rotten producer state is not the log's end: recovery has built it again, so this only fails on a bug.
    if (auto snapshot = ProducerState::decode(entry.producers, config.producers)) {
      producers_ = std::move(snapshot->state);
      const auto of = std::ranges::find(bytes_.segments(), entry.producers_at.base_offset,
                                        [](const auto& s) { return s->base_offset(); });
      if (of != bytes_.segments().end()) {
        const Boundary at{(*of)->linear_start() + entry.producers_at.position, entry.producers_offset};
        const ByteView alone = without_proof(entry.producers);
        stable_producers_ = {producers_.size() == 0 ? Bytes() : Bytes(alone.begin(), alone.end()), at, true};
      }
    }
  }
}

Partition::~Partition() = default;

reactor::Core& Partition::core() const { return engine_.core(); }

void Partition::set_config(const LogConfig& config) {
  check_core();
  config_ = engine_.share(config);
  producers_.set_limits(config.producers);
}

std::string Partition::directory() const {
  return fmt::format("{}/{}", engine_.host().options().data_directory, *partition_folder(topic_name_, partition_));
}

std::string Partition::segment_path(const Segment& segment, std::string_view extension) const {
  return fmt::format("{}/{}", directory(), segment_file(segment.base_offset(), extension));
}

void Partition::set_high_watermark(int64_t offset) {
  check_core();
  CHECK(offset <= commit_.durable().offset, "high watermark {} above durable {}", offset, commit_.durable().offset);
  high_watermark_ = std::max(high_watermark_, offset);
}

void Partition::attach(std::unique_ptr<LogAttachment> attachment) {
  check_core();
  CHECK(attachment_ == nullptr && attachment != nullptr);
  attachment_ = std::move(attachment);
}

Result<void> Partition::begin_deletion() {
  check_core();
  if (mode_ == Mode::kStopping) return failure(Errc::kStopping);
  if (mode_ != Mode::kOpen) return failure(Errc::kBusy);
  mode_ = Mode::kDeleting;
  changed_.notify_all();
  return {};
}

bool Partition::is_settled_for_deletion() const {
  if (damage_.damaged || prefix_failing_) return true;
  return commit_.durable().linear >= bytes_.end().linear && commit_.metas_pending() == 0;
}

void Partition::announce_deletion() {
  waiters_.end_moved();
  if (attachment_ != nullptr) attachment_->removed();
}

TableEntry Partition::end_deletion() {
  CHECK(mode_ == Mode::kDeleting);
  static_cast<reactor::ListNode<DirtyTag>&>(*this).unlink();
  static_cast<reactor::ListNode<UnflushedTag>&>(*this).unlink();
  static_cast<reactor::ListNode<WriteBackTag>&>(*this).unlink();
  write_back_goal_.linear = 0;
  fail_waiters(Errc::kNotFound);
  waiters_.forget_listeners();
  meta_applied();
  TableEntry tombstone = table_entry();
  tombstone.deleted = true;
  return tombstone;
}

void Partition::stop() {
  CHECK(mode_ == Mode::kOpen);
  mode_ = Mode::kStopping;
  fail_waiters(Errc::kStopping);
}

std::optional<Errc> Partition::closed() const {
  check_core();
  if (mode_ == Mode::kDeleting) return Errc::kNotFound;
  if (mode_ == Mode::kStopping) return Errc::kStopping;
  return std::nullopt;
}

void Partition::wait_durable(OffsetWaiter& waiter) {
  check_core();
  if (waiter.offset <= commit_.durable().offset) {
    waiter.done(waiter, {});
  } else if (const std::optional<Errc> why = closed()) {
    waiter.done(waiter, failure(*why));
  } else {
    waiters_.wait(waiter);
  }
}

void Partition::fail_waiters(Errc error) {
  waiters_.fail_all(error);
  if (attachment_ != nullptr) attachment_->failed(error);
}

bool Partition::add_end_listener(OffsetListener& listener, int64_t seen_offset) {
  check_core();
  if (bytes_.end().offset > seen_offset) return true;
  waiters_.listen(listener);
  return false;
}

void Partition::damage_from(int64_t offset, std::string reason) {
  if (damage_.damaged && damage_.from_offset <= offset) return;
  damage_ = {true, offset, std::move(reason), false};
  engine_.core().log(
      reactor::LogLevel::kError, "storage.damaged",
      fmt::format("partition={}-{} from_offset={} reason=\"{}\"", topic_name_, partition_, offset, damage_.reason));
}

}  // namespace posthaste::storage
