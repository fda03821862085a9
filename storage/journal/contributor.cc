#include "storage/journal/contributor.h"

#include "storage/engine.h"
#include "storage/journal/journal_stream.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Task;

Contributor::Contributor(Engine& engine, JournalStream* stream, reactor::CoreId owner, size_t remote_bytes_max)
    : engine_(engine), stream_(stream), owner_(owner), remote_bytes_max_(remote_bytes_max), progress_(engine.core()) {
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

reactor::Result<void> Contributor::open() {
  if (stream_ == nullptr) remote_buffer_ = TRY(engine_.core().pool().allocate(engine_.host().options().staging_bytes));
  return {};
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
      later.hold(parent);
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
  // A META record that found no room goes first next time; no data may overtake it.
  const bool room_for_data = metas_.empty();
  while (room_for_data && !dirty_.empty() && writer_.room() >= CommitState::kRecordRoomMin) {
    Partition& partition = dirty_.pop_front();
    const CommitState::Submitted submitted = partition.submit(writer_, referred_);
    if (submitted.any) included_.push_back({&partition, submitted});
    if (!submitted.more) continue;
    // A batch that was begun is completed before other partitions have their turn again: else all large batches would
    // be acknowledged together with the last one. What its partition has behind it waits for its turn.
    const bool goes_on = partition.commit().is_in_batch() && !planted(kBugs["split-batch-goes-back"]);
    goes_on ? dirty_.push_front(partition) : dirty_.push_back(partition);
  }
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
  if (!has_place_ && !planted(kBugs["block-built-without-place"])) return ask_for_place();
  if (build(remote_buffer_.bytes(), 0, remote_bytes_max_) == 0) return;
  has_place_ ? send_built() : ask_for_place();
}

void Contributor::send_built() {
  has_place_ = false;
  const auto used = static_cast<uint32_t>(writer_.used());
  remote_call_ = std::make_unique<Call>(engine_.core(), owner_, reactor::MessageClass::kPush,
                                        SendSubBlock{&engine_.host(), engine_.core().id(), pieces_, used});
  remote_call_->self = this;
  remote_call_->on_reply([](reactor::RemoteCallBase& base) {
    auto& call = static_cast<Call&>(base);
    const RemoteCommit outcome = call.take();
    call.self->has_place_ = outcome.has_place;
    call.self->durable(outcome.place);
  });
  remote_call_->start();
}

void Contributor::ask_for_place() {
  if (asking_) return;
  asking_ = true;
  place_call_ =
      std::make_unique<PlaceCall>(engine_.core(), owner_, reactor::MessageClass::kPush, AskForPlace{&engine_.host()});
  place_call_->self = this;
  place_call_->on_reply([](reactor::RemoteCallBase& base) {
    Contributor& self = *static_cast<PlaceCall&>(base).self;
    self.asking_ = false;
    self.has_place_ = true;
    self.in_flight_ ? self.send_built() : self.send();
  });
  place_call_->start();
}

Task<RemoteCommit> Contributor::SendSubBlock::operator()(reactor::Core& there) {
  Engine* owner = co_await host->when_open(there);
  co_return co_await owner->own_stream()->commit_remote(from, pieces, used);
}

Task<void> Contributor::AskForPlace::operator()(reactor::Core& there) {
  Engine* owner = co_await host->when_open(there);
  co_await owner->own_stream()->wait_for_place();
}

}  // namespace posthaste::storage
