#include "tests/differential/accepted.h"

#include <array>

namespace posthaste::differential {
namespace {

using Key = kafka::ApiKey;

constexpr std::string_view kFlush = "Acknowledged means durable: every record is written through by default.";
constexpr std::string_view kInSync =
    "The default is 2, never above the replication factor; Kafka's is 1, kept as a cluster-wide dynamic default.";
constexpr std::string_view kOldProduce =
    "A producer of these versions is told UNSUPPORTED_FOR_MESSAGE_FORMAT for each partition; Kafka ends the "
    "connection.";
constexpr std::string_view kTwice =
    "A partition named twice is refused as a whole. In Kafka the last batch wins and the client cannot tell.";
constexpr std::string_view kIsolation =
    "An isolation level that does not exist is the client's error; in Kafka it is an internal one.";
constexpr std::string_view kTrailing =
    "Bytes behind the batch are refused; Kafka drops up to a batch's header and says nothing.";
constexpr std::string_view kLargestTime =
    "A batch is stored as it was sent; one whose largest time is below its first record's is refused. Kafka corrects "
    "it.";
constexpr std::string_view kOpaque = "Records are not looked at: whoever reads them finds what is wrong with them.";
constexpr std::string_view kUnreadable =
    "A compacted topic looks at keys: records that cannot be read are the client's error; in Kafka it is an internal "
    "one.";
constexpr std::string_view kOneForm =
    "A value is shown in its one form from the beginning; Kafka shows it as it was sent here, and in that form later.";
constexpr std::string_view kNoId = "What is only validated gets no id.";
constexpr std::string_view kEmptyName = "A name that is empty is a bad name; in Kafka it is an internal error.";
constexpr std::string_view kEmptyId =
    "The id of all zeros is one that no topic has; in Kafka it is an internal error when asked for twice.";
constexpr std::string_view kGone =
    "Kafka may name a record that was deleted; here it is the first that is left, or none.";
constexpr std::string_view kNegativeBytes = "A limit below 0 is taken for 0; in Kafka it is an internal error.";
constexpr std::string_view kClaim =
    "A batch is stored as it was sent; one that claims the broker's clock is refused. Kafka rewrites the claim.";
constexpr std::string_view kBaseOffset = "The offset that a producer writes is overwritten, and not looked at before.";
constexpr std::string_view kCodec =
    "A codec that does not exist is the client's error; in Kafka it is an internal one.";
constexpr std::string_view kShort = "Bytes behind the batch are found before the checksum is; in Kafka after it.";
constexpr std::string_view kTopicFirst = "A partition that does not exist is told before its batch is looked at.";
constexpr std::string_view kEpoch =
    "A producer id with an epoch below 0 breaks a rule of the format, whoever wrote before.";
constexpr std::string_view kTooMany = "A limit is told; in Kafka so many partitions are an internal error.";
constexpr std::string_view kRepeated =
    "A repeated batch of a topic with CreateTime has no append time; Kafka tells the largest time of the batch.";
constexpr std::string_view kLeader =
    "When the leader of a group is gone, the member that joined first leads. In Kafka it is any, by the order of a "
    "table.";
constexpr std::string_view kLeft = "Whoever leaves while it waits in SyncGroup is told so; Kafka never answers.";
constexpr std::string_view kRefusedCommit = "A commit that is refused leaves no group behind.";
constexpr std::string_view kJoining =
    "Who is just joining counts as a reader already; in Kafka those of the last generation do.";
constexpr std::string_view kNoRecord =
    "A group that only gave out a member id is Empty. Kafka shows it or not, by what else it has written since.";
constexpr std::string_view kRefused = "A join that is refused leaves no group behind.";
constexpr std::string_view kTransactions = "Transactions are not served yet, and clients are to see that at once.";
constexpr std::string_view kOperation =
    "An operation that does not exist is the client's error; in Kafka it is an internal one.";
constexpr std::string_view kLongMax = "9223372036854775807";

constexpr auto kAccepted = std::to_array<AcceptedDifference>({
    {Key::kCreateTopics, 5, 7, "topics.configs.value", "flush.messages", kLongMax, "1", "", kFlush},
    {Key::kCreateTopics, 5, 7, "topics.configs.config_source", "min.insync.replicas", "3", "5", "", kInSync},
    {Key::kProduce, 0, 2, "(outcome)", "", "closed", "answered", "", kOldProduce},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", kAnyValue, "INVALID_REQUEST",
     "a partition twice", kTwice, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "NONE", "INVALID_RECORD", "trailing bytes",
     kTrailing, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "NONE", "INVALID_TIMESTAMP",
     "largest time too small", kLargestTime, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "UNKNOWN_SERVER_ERROR", "NONE", "not gzip",
     kOpaque, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "INVALID_RECORD", "NONE",
     "wrong record length", kOpaque, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_RECORD",
     "not gzip", kUnreadable},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "NONE", "INVALID_TIMESTAMP",
     "claims LogAppendTime", kClaim, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "INVALID_RECORD", "NONE", "base offset set",
     kBaseOffset, State::kDiffers},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_RECORD",
     "unknown codec", kCodec},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "CORRUPT_MESSAGE", "INVALID_RECORD",
     "length too short", kShort},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "CORRUPT_MESSAGE",
     "UNKNOWN_TOPIC_OR_PARTITION", "magic 3 or negative length", kTopicFirst},
    {Key::kProduce, 13, 13, "responses.partition_responses.error_code", "", "CORRUPT_MESSAGE", "UNKNOWN_TOPIC_ID",
     "magic 3 or negative length", kTopicFirst},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "INVALID_PRODUCER_EPOCH", "INVALID_RECORD",
     "negative producer epoch", kEpoch},
    {Key::kProduce, 3, 13, "responses.partition_responses.error_code", "", "NONE", "INVALID_RECORD",
     "negative producer epoch", kEpoch, State::kDiffers},
    {Key::kCreatePartitions, 0, 3, "results.error_code", "", "UNKNOWN_SERVER_ERROR", "POLICY_VIOLATION",
     "far too many partitions", kTooMany},
    {Key::kFetch, 4, 6, "responses.partitions.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_REQUEST",
     "unknown isolation level", kIsolation},
    {Key::kFetch, 7, 18, "error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_REQUEST", "unknown isolation level",
     kIsolation},
    {Key::kFetch, 13, 18, "error_code", "", "UNKNOWN_SERVER_ERROR", "NONE", "two partitions of no topic", kEmptyId},
    {Key::kListOffsets, 2, 11, "topics.partitions.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_REQUEST",
     "unknown isolation level", kIsolation},
    {Key::kProduce, 3, 13, "responses.partition_responses.log_append_time_ms", "", kAnyValue, "-1",
     "with a producer id", kRepeated},
    {Key::kJoinGroup, 0, 9, "leader", "", kAnyValue, kAnyValue, "several joins were held back", kLeader,
     State::kDiffers},
    {Key::kJoinGroup, 0, 9, "members", "", kAnyValue, kAbsent, "several joins were held back", kLeader,
     State::kDiffers},
    {Key::kJoinGroup, 0, 9, "members", "", kAbsent, kAnyValue, "several joins were held back", kLeader,
     State::kDiffers},
    {Key::kSyncGroup, 0, 5, "(outcome)", "", "held back", "answered", "its member left", kLeft, State::kDiffers},
    {Key::kOffsetDelete, 0, 0, "topics.partitions.error_code", "", "NONE", "GROUP_SUBSCRIBED_TO_TOPIC",
     "a join is held back", kJoining, State::kDiffers},
    {Key::kDeleteGroups, 0, 2, "results.error_code", "$g6", "NONE", "GROUP_ID_NOT_FOUND",
     "the group of a refused commit", kRefusedCommit},
    {Key::kDescribeGroups, 0, 5, "groups.group_state", "", "Dead", "Empty", "a group without a generation", kNoRecord},
    {Key::kDescribeGroups, 0, 5, "groups.group_state", "", "Empty", "Dead", "the group of a refused join", kRefused},
    {Key::kListGroups, 0, 5, "groups", "", kAbsent, kAnyValue, "a group without a generation", kNoRecord},
    {Key::kListGroups, 0, 5, "groups", "$g7", kAnyValue, kAbsent, "", kRefused},
    {Key::kFindCoordinator, 1, 3, "error_code", "", "NONE", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "transactions",
     kTransactions},
    {Key::kFindCoordinator, 4, 4, "coordinators.error_code", "", "NONE", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
     "transactions", kTransactions},
    {Key::kIncrementalAlterConfigs, 0, 1, "responses.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_REQUEST",
     "unknown operation", kOperation},
    {Key::kCreateTopics, 5, 7, "topics.configs.value", "unclean.leader.election.enable", "TRUE", "true", "", kOneForm},
    {Key::kCreateTopics, 5, 7, "topics.configs.value", "retention.ms", " 7000 ", "7000", "", kOneForm},
    {Key::kCreateTopics, 5, 7, "topics.configs.value", "cleanup.policy", "delete,delete", "delete", "", kOneForm},
    {Key::kCreateTopics, 7, 7, "topics.topic_id", "", "(drawn)", "00000000000000000000000000000000", "validate only",
     kNoId},
    {Key::kDescribeTopicPartitions, 0, 0, "topics.error_code", "", "UNKNOWN_SERVER_ERROR", "INVALID_TOPIC_EXCEPTION",
     "empty topic name", kEmptyName},
    {Key::kListOffsets, 7, 11, "topics.partitions.timestamp", "", kAnyValue, "-1", "largest time after DeleteRecords",
     kGone},
    {Key::kListOffsets, 7, 11, "topics.partitions.offset", "", kAnyValue, kAnyValue, "largest time after DeleteRecords",
     kGone},
    {Key::kListOffsets, 7, 11, "topics.partitions.leader_epoch", "", "0", "-1", "largest time after DeleteRecords",
     kGone},
    {Key::kFetch, 4, 18, "responses.partitions.error_code", "", "UNKNOWN_SERVER_ERROR", "NONE", "negative bytes",
     kNegativeBytes},
    {Key::kDescribeConfigs, 1, 4, "results.configs.value", "flush.messages", kLongMax, "1", "", kFlush},
    {Key::kDescribeConfigs, 1, 4, "results.configs.synonyms.value", "log.flush.interval.messages", kLongMax, "1", "",
     kFlush},
    {Key::kDescribeConfigs, 1, 4, "results.configs.synonyms.value", "min.insync.replicas", "1", "2", "", kInSync},
    {Key::kDescribeConfigs, 1, 4, "results.configs.synonyms.source", "min.insync.replicas", "3", "5", "", kInSync},
    {Key::kDescribeConfigs, 1, 4, "results.configs.synonyms", "min.insync.replicas",
     "{name: \"min.insync.replicas\", value: \"1\", source: 5}", kAbsent, "", kInSync},
    {Key::kDescribeConfigs, 1, 4, "results.configs.config_source", "min.insync.replicas", "3", "5", "", kInSync},
});

// What two brokers with room enough never show.
constexpr std::string_view kNoRoom =
    "\n"
    "## No room\n"
    "\n"
    "What is created and what waits is bounded by the memory that the start states (`memory budget_mib=...`). Kafka "
    "takes it until\n"
    "its heap is full. What there is no room for:\n"
    "\n"
    "| request | what | answer |\n"
    "| --- | --- | --- |\n"
    "| JoinGroup | a new member, or more metadata of one that is there, above the memory for groups; or more of one "
    "member than a sixteenth of a core's memory for groups | GROUP_MAX_SIZE_REACHED |\n"
    "| SyncGroup | assignments above the memory for groups | COORDINATOR_NOT_AVAILABLE, and everybody joins again |\n"
    "| SyncGroup | assignments above a sixteenth of a core's memory for groups | UNKNOWN_SERVER_ERROR, as when they do "
    "not fit into a record |\n"
    "| OffsetCommit | offsets of partitions that the group has not committed before, or longer metadata, above the "
    "memory for groups | COORDINATOR_NOT_AVAILABLE |\n"
    "| CreateTopics, CreatePartitions | more partitions than `partitions_max` of the start | POLICY_VIOLATION |\n"
    "| DescribeConfigs, DescribeProducers | a resource or partition named more than 8 times | INVALID_REQUEST for the "
    "mentions after the eighth |\n"
    "| Metadata | creates the first 50 of the topics that are not there; they are in the answer with their partitions "
    "| LEADER_NOT_AVAILABLE for the others, until it is asked again |\n"
    "| Fetch | a long poll of many partitions above the memory for those who wait | answered at once with what there "
    "is |\n"
    "| Fetch | a session above the memory for sessions | no session (id 0) |\n"
    "| Produce | a batch of a producer that the partition does not know, refused because there is no room just now | "
    "what "
    "was sent behind it: OUT_OF_ORDER_SEQUENCE_NUMBER until it comes again, as for a known producer; Kafka takes what "
    "comes next |\n"
    "\n"
    "Whoever was there before goes on: members may join again, offsets may be committed again, and what the log holds "
    "is loaded.\n";

}  // namespace

std::span<const AcceptedDifference> accepted_differences() { return kAccepted; }

const AcceptedDifference* find_accepted(const Step& step, const std::set<std::string, std::less<>>& traits,
                                        const Difference& difference) {
  for (const AcceptedDifference& row : kAccepted) {
    const bool same_request = row.api == step.api && step.version >= row.first_version &&
                              step.version <= row.last_version && row.field == difference.field &&
                              (row.element.empty() || row.element == difference.element);
    const bool same_values = (row.kafka == kAnyValue || row.kafka == difference.kafka) &&
                             (row.posthaste == kAnyValue || row.posthaste == difference.posthaste);
    if (same_request && same_values && (row.condition.empty() || traits.contains(row.condition))) return &row;
  }
  return nullptr;
}

std::string accepted_as_markdown() {
  std::string text =
      "# Differences from Apache Kafka\n\n"
      "Random sequences of requests are sent to Apache Kafka 4.3.1 and to Posthaste ([testing.md](testing.md)); what "
      "the\n"
      "answers differ in must be in the first table. This page is written by `posthaste-differential --table`, and\n"
      "`./test full differential` fails when it says something else.\n\n"
      "## Accepted\n\n"
      "A row names one field of one answer, the two values, and the condition under which they may differ (`*`: any "
      "value;\n"
      "in brackets: of the element with that key). After a row marked \u2020 the two brokers hold different things, "
      "and the\n"
      "sequence ends.\n\n"
      "| request | versions | field | Kafka | Posthaste | condition | why |\n| --- | --- | --- | --- | --- | --- | --- "
      "|\n";
  const auto shown = [](std::string_view value) {
    if (value == kAnyValue) return std::string("*");
    if (value == kLongMax) return std::string("2^63-1");
    return fmt::format("`{}`", value);
  };
  for (const AcceptedDifference& row : kAccepted) {
    const std::string element = row.element.empty() ? "" : fmt::format("[{}]", row.element);
    const std::string versions = row.first_version == row.last_version
                                     ? fmt::format("{}", row.first_version)
                                     : fmt::format("{}-{}", row.first_version, row.last_version);
    text += fmt::format("| {} | {} | {}{} | {} | {} | {}{} | {} |\n", to_string(row.api), versions, row.field, element,
                        shown(row.kafka), shown(row.posthaste), row.condition,
                        row.state == State::kDiffers ? " \u2020" : "", row.reason);
  }
  text +=
      "\n## Not compared\n\nThe order of topics, partitions, groups and members in an answer, and whether a topic that "
      "a request\n"
      "names twice is answered in one piece or two. Ids that a broker draws are compared as \"the id that was given "
      "then\". Times\n"
      "of the brokers' own clocks only as such. Besides, in every answer:\n\n| field | why |\n| --- | --- |\n";
  for (const NotCompared& row : not_compared()) text += fmt::format("| {} | {} |\n", row.field, row.reason);
  text +=
      "\nNot asked, because Apache Kafka does not answer: Produce with null records, AlterConfigs that names a "
      "resource twice,\n"
      "JoinGroup that names a protocol twice. Posthaste answers these; unit tests look at it.\n";
  text += kNoRoom;
  return text;
}

}  // namespace posthaste::differential
