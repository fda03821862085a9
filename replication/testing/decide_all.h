// A whole request decided in one piece, on an image that stays as it is: for tests of the rules.
#pragma once
#include "replication/metadata/topic_controller.h"

namespace posthaste::replication {

// `decisions`: of the kind of TopicCreation.
template <class Decisions>
typename Decisions::Outcome decide_all(Decisions decisions, const MetadataImage& image, const TopicRules& rules) {
  typename Decisions::Outcome outcome;
  while (!decisions.all_noted()) decisions.note_next(image);
  decisions.begin_piece(image);
  while (!decisions.all_decided()) decisions.decide_next(image, rules, outcome);
  return outcome;
}

inline CreateTopicsOutcome create_topics(const MetadataImage& image, const TopicRules& rules,
                                         const CreateTopicsRequest& request) {
  return decide_all(TopicCreation(request), image, rules);
}

inline DeleteTopicsOutcome delete_topics(const MetadataImage& image, const TopicRules& rules,
                                         const std::vector<DeleteTopic>& topics) {
  return decide_all(TopicDeletion(topics), image, rules);
}

}  // namespace posthaste::replication
