#include "storage/log/partition.h"

#include <algorithm>

#include "storage/engine.h"
#include "storage/folder_names.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

Partition::Partition(Engine& engine, const TableEntry& entry, const LogConfig& config)
    : CoreOwned(engine.core()),
      engine_(engine),
      uid_(entry.uid),
      topic_id_(entry.topic_id),
      topic_name_(entry.topic_name),
      partition_(entry.partition),
      config_(config),
      generation_(entry.generation),
      log_start_(entry.log_start),
      epochs_(entry.epochs),
      holes_from_(entry.holes_from),
      producers_(config.producers, engine.producer_count()),
      damage_(entry.damage),
      directory_created_(entry.directory_created),
      directory_tried_(entry.directory_created),
      last_meta_lsn_(entry.last_meta_lsn),
      changed_(engine.core()) {
  uint64_t linear = 0;
  for (const SegmentEntry& known : entry.segments) {
    auto segment = std::make_shared<Segment>(engine.core(), known.base_offset, linear);
    segment->size = known.size_bytes;
    segment->max_timestamp = known.max_timestamp;
    segment->first_append = segment->last_append = known.last_append;
    segment->sealed = segments_.size() + 1 < entry.segments.size();
    segment->index_whole = known.size_bytes == 0;
    segment->created = known.size_bytes > 0;
    segment->allocated = align_up(known.size_bytes);
    linear += known.size_bytes;
    segments_.push_back(std::move(segment));
  }
  flushed_linear_ = durable_linear_ = submitted_linear_ = linear;
  end_ = durable_ = submitted_ = {linear, entry.end_offset};
  if (planted(kBugs["offset-reused"]) && end_.offset > log_start_) --end_.offset;
  submitting_ = durable_segment_ = segments_.back();
  adopt_proof(proof_behind(entry.producers));
  prefix_due_ = active().size % kBlock != 0;
  high_watermark_ = entry.high_watermark;
  producers_known_ = !damage_.damaged;
  if (!entry.producers.empty()) {
    // Rotten producer state is not the log's end: recovery has built it anew, so this only fails on a bug.
    if (auto snapshot = ProducerState::decode(entry.producers, config.producers)) {
      producers_ = std::move(snapshot->state);
      const auto of =
          std::ranges::find(segments_, entry.producers_at.base_offset, [](const auto& s) { return s->base_offset(); });
      if (of != segments_.end()) {
        const Boundary at{(*of)->linear_start() + entry.producers_at.position, entry.producers_offset};
        const ByteView alone = without_proof(entry.producers);
        stable_producers_ = {Bytes(alone.begin(), alone.end()), at, true};
      }
    }
  }
}

Partition::~Partition() = default;

reactor::Core& Partition::core() const { return engine_.core(); }

void Partition::adopt_proof(const std::optional<HeaderProof>& proof) {
  if (active().size > 0) active().headers_known = false;
  if (!proof) return;
  const auto of = std::ranges::find(segments_, proof->segment_base, [](const auto& s) { return s->base_offset(); });
  if (of == segments_.end() || proof->position > (*of)->size) return;
  (*of)->proof = durable_proof_ = proof;
  if (*of != segments_.back() || proof->position < active().size) return;
  active().headers_hash = proof->hash;
  active().headers_known = true;
}

void Partition::set_config(const LogConfig& config) {
  check_core();
  config_ = config;
  producers_.set_limits(config.producers);
}

uint64_t Partition::size_bytes() const { return end_.linear - segments_.front()->linear_start(); }

std::shared_ptr<Segment> Partition::segment_of(uint64_t linear) const {
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    if ((*at)->linear_start() <= linear) return *at;
  }
  return segments_.front();
}

// The segment that would be the last of a log that ends there. Where two touch it is the earlier one if the end lies in
// a hole before the other one's name.
std::shared_ptr<Segment> Partition::last_segment_up_to(const Boundary& end) const {
  const auto found = std::ranges::find_if(segments_.rbegin(), segments_.rend(), [&end](const auto& segment) {
    return segment->linear_start() <= end.linear && segment->base_offset() <= end.offset;
  });
  CHECK(found != segments_.rend(), "the log does not reach down to offset {}", end.offset);
  return *found;
}

SegmentPosition Partition::position_of(uint64_t linear) const {
  const auto segment = segment_of(linear);
  // A place that retention has overtaken counts as the start of what is left.
  return {segment->base_offset(), std::max(linear, segment->linear_start()) - segment->linear_start()};
}

std::string Partition::directory() const {
  return fmt::format("{}/{}", engine_.host().options().data_directory, *partition_folder(topic_name_, partition_));
}

std::string Partition::segment_path(const Segment& segment, std::string_view extension) const {
  return fmt::format("{}/{}", directory(), segment_file(segment.base_offset(), extension));
}

void Partition::set_high_watermark(int64_t offset) {
  check_core();
  CHECK(offset <= durable_.offset, "high watermark {} above durable {}", offset, durable_.offset);
  high_watermark_ = std::max(high_watermark_, offset);
}

void Partition::attach(std::unique_ptr<LogAttachment> attachment) {
  check_core();
  CHECK(attachment_ == nullptr && attachment != nullptr);
  attachment_ = std::move(attachment);
}

std::optional<Errc> Partition::closed() const {
  check_core();
  if (mode_ == Mode::kDeleting) return Errc::kNotFound;
  if (mode_ == Mode::kStopping) return Errc::kStopping;
  return std::nullopt;
}

void Partition::wait_durable(OffsetWaiter& waiter) {
  check_core();
  if (waiter.offset <= durable_.offset) {
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
  if (end_.offset > seen_offset) return true;
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
