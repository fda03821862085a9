// Runs one sequence against both brokers, one step after the other, and says where they first differ.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/differential/accepted.h"
#include "tests/differential/generator.h"
#include "tests/differential/link.h"

namespace posthaste::differential {

// What all sequences of a run share.
struct Setting {
  Both<Address> brokers;
  Versions versions;
  int64_t run_start_ms = 0;
  bool verbose = false;  // every step with both answers, to stdout
};

struct Failure {
  const Step* step = nullptr;
  int last = 0;                         // the number of the last step that was sent: an answer may have been held back
  std::vector<Difference> differences;  // those that no row accepts
};

struct Result {
  std::optional<Failure> failure;
  size_t steps = 0;  // that were compared
  std::set<const AcceptedDifference*> accepted;
};

// What both brokers serve, asked of them; what only one serves is printed.
Versions common_versions(const Both<Address>& brokers);

// Has both brokers make what they make when it is first needed: __consumer_offsets (until every group has its
// coordinator), producer ids, Kafka's topic of transactions.
void wait_for_coordinators(const Both<Address>& brokers);

// Kafka answers an administrator when its controller has decided; its broker follows a moment later. Each thread has
// one of these: it changes a topic of its own and waits until the broker shows that, so that all before it is done.
class KafkaBarrier {
 public:
  KafkaBarrier(const Address& kafka, const std::string& topic);
  void wait();

 private:
  void change_and_see();

  Link link_;
  std::string topic_;
  int64_t value_ = 100'000;
};

// `prefix` begins the names of topics and groups. The steps whose place is in `left_out` are not done.
Result run_sequence(const Setting& setting, const Sequence& sequence, const std::string& prefix, KafkaBarrier& barrier,
                    const std::set<size_t>& left_out = {});

}  // namespace posthaste::differential
