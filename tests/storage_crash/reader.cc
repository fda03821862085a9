// Reads every partition from its log start to its end, and asks for what else recovery must have kept: the epochs, and
// the newest batch of each producer.
#include "tests/storage_crash/reader.h"

#include <map>
#include <utility>
#include <vector>

#include "reactor/mail.h"
#include "reactor/testing/job_on.h"
#include "storage/batch/record_batch.h"
#include "tests/storage_crash/life_host.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {
namespace {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Task;
using storage::EngineHost;
using storage::Partition;

// Everything in one partition, and what is odd about it.
Task<Recovered> read_partition(Partition& partition) {
  Recovered found{.log_start = partition.log_start_offset(),
                  .end = partition.end_offset(),
                  .high_watermark = partition.high_watermark(),
                  .damaged = partition.damage().damaged,
                  .damaged_from = partition.damage().from_offset,
                  .reason = partition.damage().reason};
  found.first_offset = found.log_start;
  int64_t offset = found.log_start;
  while (offset < found.end && !(found.damaged && offset >= found.damaged_from)) {
    auto read = co_await partition.read({.offset = offset, .max_bytes = 5000, .limit_offset = found.end});
    // A segment that is not there is shown as missing.
    if (!read && (read.error() == Errc::kDamaged || read.error() == Errc::kNotFound)) {
      found.damaged = true;
      found.damaged_from = offset;
      break;
    }
    if (!read || read->pieces.empty()) {
      found.complaints.push_back(fmt::format("cannot be read at {} of {} to {}: {}", offset, found.log_start, found.end,
                                             read ? "nothing there" : to_string(read.error())));
      break;
    }
    if (offset == found.log_start) found.first_offset = read->base_offset;
    for (const auto& piece : read->pieces) found.bytes += storage::text_of(piece.bytes);
    offset = read->next_offset;
  }
  for (storage::BatchCursor cursor(storage::bytes_of(found.bytes)); auto batch = cursor.next();) {
    if (!batch->crc_matches()) found.complaints.push_back(fmt::format("CRC of the batch at {}", batch->base_offset()));
    if (partition.epochs().epoch_for(batch->base_offset()) != batch->leader_epoch()) {
      found.complaints.push_back(fmt::format("epoch of offset {} is {}, the cache says {}", batch->base_offset(),
                                             batch->leader_epoch(),
                                             partition.epochs().epoch_for(batch->base_offset())));
    }
  }
  if (!found.damaged && partition.durable_offset() != found.end)
    found.complaints.push_back("durable is not the end after recovery");
  co_return found;
}

// The newest batch of each producer, sent again, is a duplicate at its old offset.
void check_producers(Partition& partition, Recovered& found) {
  std::map<int64_t, std::pair<int64_t, storage::Bytes>> newest;
  for (storage::BatchCursor cursor(storage::bytes_of(found.bytes)); auto batch = cursor.next();) {
    if (!batch->has_producer_id()) continue;
    storage::Bytes bytes(batch->bytes().begin(), batch->bytes().end());
    newest[batch->producer_id()] = {batch->base_offset(), std::move(bytes)};
  }
  if (found.damaged) return;
  for (auto& [producer, batch] : newest) {
    storage::patch_offset_and_epoch(batch.second, 0, -1);
    const int32_t epoch = partition.epochs().latest() ? partition.epochs().latest()->epoch : 0;
    auto again = partition.append(batch.second, {.leader_epoch = epoch, .from_client = true}, {kWallClockMs});
    if (!again || !again->duplicate || again->base_offset != batch.first) {
      found.complaints.push_back(
          fmt::format("producer {} sent its batch of offset {} again: {}", producer, batch.first,
                      again ? fmt::format("offset {}", again->base_offset) : std::string(to_string(again.error()))));
    }
  }
}

Task<void> show(Core& there, Reader& reader, EngineHost& host) {
  auto engine = co_await host.open(there);
  if (!engine) {
    reader.refused = engine.error();
    co_return;
  }
  std::vector<Partition*> partitions;
  (*engine)->for_each([&](Partition& partition) { partitions.push_back(&partition); });
  for (Partition* partition : partitions) {
    Recovered found = co_await read_partition(*partition);
    check_producers(*partition, found);
    reader.image.emplace(partition->topic_id(), std::move(found));
  }
}

Task<void> run_reader(Core& core, Reader& reader, std::shared_ptr<EngineHost> host) {
  if (core.id() != 0) {
    co_await core.until_stopping();
    co_return;
  }
  auto report = co_await host->recover(core);
  if (!report) {
    reader.refused = report.error();
    reader.refusal = host->error_text();
  } else {
    reader.report = *report;
    for (CoreId to = 0; to < core.core_count(); ++to) {
      co_await reactor::job_on(core, to, [&](Core& there) { return show(there, reader, *host); });
    }
  }
  reader.done = true;
  co_await core.until_stopping();
}

}  // namespace

reactor::Program Reader::program() {
  return [this](Core& core) { return run_reader(core, *this, host_for(core, options, host_)); };
}

}  // namespace posthaste::storage_crash
