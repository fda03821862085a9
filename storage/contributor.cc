#include "storage/contributor.h"

#include "storage/engine.h"
#include "storage/journal_stream.h"

namespace posthaste::storage {

using reactor::Task;

Contributor::Contributor(Engine& engine, JournalStream* stream, reactor::CoreId owner, const EngineOptions& options)
    : engine_(engine),
      stream_(stream),
      owner_(owner),
      sub_block_bytes_max_(options.commit_bytes_max),
      staging_bytes_(options.staging_bytes),
      progress_(engine.core()) {
  kick_.self = this;
  kick_.run = [](reactor::Runnable& runnable) { static_cast<Kick&>(runnable).self->send(); };
}

Contributor::~Contributor() {
  for (auto* list : {&metas_, &metas_in_flight_}) {
    while (!list->empty()) {
      MetaWrite& write = list->pop_front();
      if (write.detached) delete &write;
    }
  }
}

void Contributor::schedule() {
  if (stream_ != nullptr) return stream_->request_commit();
  if (!in_flight_ && !kick_.is_linked()) engine_.core().schedule(kick_);
}

void Contributor::mark_dirty(Partition& partition) {
  if (!static_cast<reactor::ListNode<DirtyTag>&>(partition).is_linked()) dirty_.push_back(partition);
  schedule();
}

void Contributor::add(MetaWrite& write) {
  write.partition->meta_queued();
  metas_.push_back(write);
  schedule();
}

void Contributor::add_detached(Partition& partition, const JournalRecord& record) {
  auto* write = new MetaWrite;
  write->record = encode_meta_record(record);
  write->partition = &partition;
  write->detached = true;
  write->done = [](MetaWrite& done) { delete &done; };
  add(*write);
}

Task<void> Contributor::write(Partition& partition, const JournalRecord& record) {
  struct Awaiter : MetaWrite {
    Contributor& contributor;
    reactor::ResumeLater later;
    explicit Awaiter(Contributor& to) : contributor(to) {
      done = [](MetaWrite& write) {
        auto& self = static_cast<Awaiter&>(write);
        self.contributor.engine_.core().schedule(self.later);
      };
    }
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> parent) {
      later.frame = parent;
      contributor.add(*this);
    }
    void await_resume() {}
  };
  Awaiter waiting(*this);
  waiting.record = encode_meta_record(record);
  waiting.partition = &partition;
  waiting.applies_later = true;
  co_await waiting;
}

size_t Contributor::build(MutableBytes space, size_t phase, size_t bytes_max) {
  CHECK(!in_flight_);
  writer_ = RecordWriter(space, phase, bytes_max);
  while (!metas_.empty() && writer_.add_encoded(metas_.front().record)) metas_in_flight_.push_back(metas_.pop_front());
  // A META record that found no room goes first next time; nobody's data may overtake it.
  const bool room_for_data = metas_.empty();
  reactor::IntrusiveList<Partition, DirtyTag> later;
  while (room_for_data && !dirty_.empty() && writer_.room() >= Partition::kRecordRoomMin) {
    Partition& partition = dirty_.pop_front();
    const Partition::Submitted submitted = partition.submit(writer_, referred_);
    if (submitted.any) included_.push_back({&partition, submitted});
    if (submitted.more) later.push_back(partition);
  }
  dirty_.splice_back(later);
  in_flight_ = writer_.used() > 0;
  if (in_flight_) pieces_ = writer_.finish();
  return writer_.used();
}

void Contributor::durable(const CommitPlace& place) {
  CHECK(in_flight_);
  in_flight_ = false;
  referred_.clear();
  std::vector<Included> included;
  included.swap(included_);
  for (const Included& entry : included) entry.partition->submitted_is_durable(entry.submitted, place);
  included.clear();
  included_.swap(included);  // keeps its memory
  while (!metas_in_flight_.empty()) {
    MetaWrite& write = metas_in_flight_.pop_front();
    write.partition->meta_durable(place.lsn, write.applies_later);
    write.done(write);
  }
  progress_.notify_all();
  if (has_work()) schedule();
}

// Remote streams only.
void Contributor::send() {
  if (in_flight_ || !has_work()) return;
  if (!remote_buffer_) {
    auto buffer = engine_.core().pool().allocate(staging_bytes_);
    CHECK(buffer.has_value(), "the pool has no room for staging");
    remote_buffer_ = std::move(*buffer);
  }
  const size_t used = build(remote_buffer_.bytes(), 0, sub_block_bytes_max_);
  if (used == 0) return;
  remote_call_ =
      std::make_unique<Call>(engine_.core(), owner_, reactor::MessageClass::kPush,
                             SendSubBlock{&engine_.host(), engine_.core().id(), pieces_, static_cast<uint32_t>(used)});
  remote_call_->self = this;
  remote_call_->on_reply([](reactor::RemoteCallBase& base) {
    auto& call = static_cast<Call&>(base);
    call.self->durable(call.take());
  });
  remote_call_->start();
}

Task<CommitPlace> Contributor::SendSubBlock::operator()(reactor::Core& there) {
  Engine* owner = co_await host->when_open(there);
  co_return co_await owner->own_stream()->commit_remote(from, pieces, used);
}

}  // namespace posthaste::storage
