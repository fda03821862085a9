// Asks the cores that own partitions, one mail per core. For requests with one question about many partitions.
#pragma once
#include <vector>

#include "broker/handlers/common.h"

namespace posthaste::broker {

// A question about one partition is any struct with `Located where` and `ErrorCode error`; the owner answers in place,
// through a coroutine of this type, if it still leads in the epoch of `where`. Questions that already have an error are
// not asked.
template <class Question>
using Answerer = reactor::Task<void> (*)(BrokerCore& there, replication::Replica& replica, Question& question);

// One by one when an answer may read a disk, so that one request holds little memory; together when each waits for the
// journal, so that they share its commits.
enum class AnswerOrder : uint8_t { kOneByOne, kTogether };

namespace detail {

template <class Question>
reactor::Task<void> answer_one(BrokerCore& there, storage::Partition::Use use, Question& question,
                               Answerer<Question> answer) {
  auto& replica = replication::Replica::of(use.partition());
  if (const auto leads = replica.check_leads(question.where.leader_epoch); !leads) {
    question.error = error_of_other_term(leads.error(), question.where);
    co_return;
  }
  co_await answer(there, replica, question);
}

template <class Question>
reactor::Task<void> answer_on_owner(BrokerCore& there, const std::vector<Question*>& questions,
                                    Answerer<Question> answer, AnswerOrder order) {
  reactor::TaskScope scope(there.core());
  for (Question* question : questions) {
    storage::Partition* partition = there.engine().find(question->where.topic->id.bytes, question->where.index);
    if (partition == nullptr) {
      question->error = error_of_missing(there, *question->where.topic);
    } else if (order == AnswerOrder::kTogether) {
      scope.spawn(answer_one(there, storage::Partition::Use(*partition), *question, answer));
    } else {
      co_await answer_one(there, storage::Partition::Use(*partition), *question, answer);
    }
  }
  co_await scope.join();
}

}  // namespace detail

// Asks each owner once, one core after the other. `questions`: any sequence of them that stays where it is.
template <class Question>
reactor::Task<void> ask_owners(BrokerCore& core, auto& questions, Answerer<Question> answer,
                               AnswerOrder order = AnswerOrder::kOneByOne) {
  std::vector<std::vector<Question*>> by_core(core.core().core_count());
  for (Question& question : questions) {
    if (question.error == ErrorCode::kNone) by_core[question.where.owner].push_back(&question);
  }
  for (size_t owner = 0; owner < by_core.size(); ++owner) {
    if (by_core[owner].empty()) continue;
    auto work = [&](reactor::Core& there) {
      return detail::answer_on_owner<Question>(core.there(there), by_core[owner], answer, order);
    };
    co_await reactor::on_core(core.core(), static_cast<reactor::CoreId>(owner), std::move(work));
  }
}

}  // namespace posthaste::broker
