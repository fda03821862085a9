#include "app/config/foreign_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "config/broker_keys.h"
#include "config/nearest.h"
#include "config/topic_config.h"

namespace posthaste::app {
namespace {

struct Known {
  std::string_view name;  // exact, or all that begins with it where it ends with a dot
  std::string_view why;
};

constexpr std::string_view kZookeeper = "Kafka 4 and Posthaste have no ZooKeeper; the line may go";
constexpr std::string_view kGone = "it is gone from Kafka 4; the line may go";
constexpr std::string_view kPlugIn = "it is for a Java class that Posthaste does not load";
constexpr std::string_view kAuthorizer = "an authorizer reads it, and none is configured";
constexpr std::string_view kVendor = "it is of another vendor's broker";
constexpr std::string_view kTool = "it is of a program beside the broker";

constexpr auto kForeign = std::to_array<Known>({
    {"advertised.host.name", "it is gone from Kafka; set advertised.listeners"},
    {"advertised.port", "it is gone from Kafka; set advertised.listeners"},
    {"allow.everyone.if.no.acl.found", kAuthorizer},
    {"auto.include.jmx.reporter", kGone},
    {"bootstrap.servers", "that is a client's key; a broker has listeners"},
    {"broker.id.generation.enable", kGone},
    {"config.providers.", kPlugIn},
    {"confluent.", kVendor},
    {"control.plane.listener.name", kGone},
    {"cruise.control.", kTool},
    {"delegation.token.master.key", "it is gone from Kafka 4; the key is delegation.token.secret.key"},
    {"eligible.leader.replicas.enable", kGone},
    {"group.coordinator.new.enable", kGone},
    {"host.name", "it is gone from Kafka; set listeners=PLAINTEXT://HOST:9092"},
    {"inter.broker.protocol.version", kGone},
    {"kafka.rest.", kTool},
    {"ldap.", kPlugIn},
    {"leader.imbalance.per.broker.percentage", kGone},
    {"log.message.downconversion.enable", kGone},
    {"log.message.format.version", kGone},
    {"log.message.timestamp.difference.max.ms",
     "it is gone from Kafka 4; set log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"},
    {"offsets.commit.required.acks", kGone},
    {"password.encoder.", kGone},
    {"port", "it is gone from Kafka; set listeners=PLAINTEXT://:PORT"},
    {"quota.consumer.default", kGone},
    {"quota.producer.default", kGone},
    {"reserved.broker.max.id", kGone},
    {"rlmm.config.", kPlugIn},
    {"rsm.config.", kPlugIn},
    {"strimzi.", kTool},
    {"super.users", kAuthorizer},
    {"unstable.api.versions.enable", "it is of tests of Kafka itself"},
    {"unstable.feature.versions.enable", "it is of tests of Kafka itself"},
    {"zookeeper.", kZookeeper},
});

bool is(const Known& known, std::string_view name) {
  return known.name.ends_with('.') ? name.starts_with(known.name) : name == known.name;
}

// People often write a key with other separators or in another case.
std::string normal_form(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c == '_' || c == '-') c = '.';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

// At most this many letters may be wrong in a typing error. Keys of earlier releases of Kafka, and those that other
// programs put into the file, differ more from all known keys (foreign_keys_test.cc), except for short words.
constexpr size_t kSlipDistanceMax = 2;
constexpr size_t kShortWord = 10;

}  // namespace

ForeignKey judge_foreign_key(std::string_view name) {
  const auto known = std::ranges::find_if(kForeign, [&](const Known& one) { return is(one, name); });
  if (known != kForeign.end()) return {.why = std::string(known->why)};
  const config::TopicKey* topic_key = config::find_topic_key(name);
  if (topic_key != nullptr && !topic_key->broker.name.empty()) {
    return {true, fmt::format("that is a topic's key; the broker's is {}", topic_key->broker.name)};
  }
  std::vector<std::string_view> names;
  for (const config::BrokerKey& key : config::broker_keys()) names.push_back(key.name);
  const std::string normal = normal_form(name);
  const auto near = config::nearest(normal, names);
  if (name.starts_with("posthaste.")) {  // nobody else's
    return {true, near ? fmt::format("did you mean {}?", *near) : "there is no such key"};
  }
  if (!near) return {.why = "no key of Kafka or Posthaste looks like it"};
  const size_t most = std::min(name.size(), near->size()) <= kShortWord ? 1 : kSlipDistanceMax;
  if (config::edit_distance(normal, *near) <= most) return {true, fmt::format("did you mean {}?", *near)};
  return {.why = fmt::format("no key of Kafka or Posthaste has this name, the nearest is {}", *near)};
}

}  // namespace posthaste::app
