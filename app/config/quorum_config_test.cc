// What a broker's configuration says of its cluster: the values, the error for each mistake, and what a lone broker is
// allowed to say.
#include "app/config/quorum_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/config/broker_config.h"

namespace posthaste::app {
namespace {

std::expected<BrokerConfig, std::vector<std::string>> from(std::string_view text, const ServeOptions& options = {}) {
  const auto properties = parse_properties(text, "f");
  if (!properties) return std::unexpected(std::vector{properties.error()});
  return make_broker_config(*properties, options);
}

std::string mistakes(std::string_view text, const ServeOptions& options = {}) {
  const auto config = from(text, options);
  if (config) return cluster_problem(*config).value_or("accepted");
  std::string all;
  for (const std::string& error : config.error()) all += error + "\n";
  return all;
}

// One of three, as Kafka's documentation configures it.
constexpr std::string_view kOneOfThree = R"(process.roles=broker,controller
node.id=2
listeners=PLAINTEXT://:9192,INTERNAL://10.0.0.2:9194,CONTROLLER://:9193
advertised.listeners=PLAINTEXT://b:9192,CONTROLLER://b:19193
controller.listener.names=CONTROLLER
inter.broker.listener.name=internal
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT
controller.quorum.bootstrap.servers=a:9093,[::1]:9193
)";

std::string one_of_three(std::string_view voters) {
  return fmt::format("{}controller.quorum.voters={}", kOneOfThree, voters);
}

TEST(QuorumConfig, TheValuesOfAClusterAreTyped) {
  const auto config = from(one_of_three("1@a:9093, 2@b:9193 ,3@[::3]:9293"));
  ASSERT_TRUE(config) << config.error().front();
  const ClusterSettings& cluster = config->cluster;
  EXPECT_TRUE(cluster.is_controller);
  EXPECT_EQ(cluster.voters, (std::vector<QuorumVoter>{{1, "a", 9093}, {2, "b", 9193}, {3, "::3", 9293}}));
  ASSERT_EQ(cluster.bootstrap_servers.size(), 2U);
  EXPECT_EQ(cluster.bootstrap_servers[1].host, "::1");
  EXPECT_EQ(cluster.bootstrap_servers[1].port, 9193);
  EXPECT_EQ(cluster.controller_listeners, (std::vector<Listener>{{"CONTROLLER", "PLAINTEXT", "", 9193}}));
  EXPECT_EQ(cluster.advertised_controller_listeners, (std::vector<Listener>{{"CONTROLLER", "PLAINTEXT", "b", 19193}}));
  EXPECT_EQ(config->listeners.size(), 2U);
  EXPECT_EQ(config->advertised_listeners.size(), 1U);
}

TEST(QuorumConfig, AClusterIsNotStartedYetAndTheLineSaysWhatToDo) {
  EXPECT_EQ(mistakes(one_of_three("1@a:9093,2@b:9193,3@c:9293")),
            "controller.quorum.voters names 3 voters, and this version runs brokers that are alone, each its own "
            "controller, and no cluster: name this broker only, or delete the line, to start it alone");
  EXPECT_NE(mistakes(std::string(kOneOfThree)).find("controller.quorum.bootstrap.servers names 2 servers, and this"),
            std::string::npos);
  EXPECT_NE(mistakes("process.roles=broker\nnode.id=4\ncontroller.quorum.voters=1@a:9093")
                .find("controller.quorum.voters names another broker, 1@a:9093, and this"),
            std::string::npos);
}

TEST(QuorumConfig, ALoneBrokerMayNameItself) {
  constexpr std::string_view kLone =
      "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
      "controller.listener.names=CONTROLLER\n";
  for (const char* more : {"controller.quorum.voters=1@localhost:9093", "controller.quorum.voters=1@0.0.0.0:9093",
                           "controller.quorum.voters=1@elsewhere:19093",
                           "controller.quorum.voters=", "controller.quorum.bootstrap.servers=localhost:9093",
                           "inter.broker.listener.name=plaintext", "inter.broker.listener.name="}) {
    EXPECT_EQ(mistakes(fmt::format("{}{}", kLone, more)), "accepted") << more;
  }
  const auto config = from("");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->cluster.voters.empty() && config->cluster.controller_listeners.empty());
  EXPECT_EQ(mistakes("controller.listener.names=CONTROLLER"), "accepted") << "without roles nobody has asked for one";
}

TEST(QuorumConfig, MalformedVotersAreNamed) {
  for (const char* bad : {"a:9093", "@a:9093", "x@a:9093", "-1@a:9093", "1@a", "1@a:0", "1@a:70000", "1@:9093",
                          "1@::1:9093", "99999999999@a:9093", "1 2@a:9093", "1@a:9093x"}) {
    EXPECT_EQ(mistakes(fmt::format("node.id=1\ncontroller.quorum.voters=1@b:9093,{}", bad)),
              fmt::format("f:2: controller.quorum.voters: \"{}\" must have the form ID@HOST:PORT, for example "
                          "1@broker-1:9093\n",
                          bad));
  }
  EXPECT_EQ(
      mistakes("controller.quorum.bootstrap.servers=a:9093,b"),
      "f:1: controller.quorum.bootstrap.servers: \"b\" must have the form HOST:PORT, for example broker-1:9093\n");
}

TEST(QuorumConfig, AVoterStandsOnceAndIsAtOneAddress) {
  EXPECT_EQ(mistakes(one_of_three("1@a:9093,2@b:9193,1@c:9293")),
            "f:9: controller.quorum.voters names the id 1 twice (1@a:9093 and 1@c:9293): each broker has a node.id of "
            "its own\n");
  EXPECT_EQ(mistakes(one_of_three("1@a:9093,2@b:9193,3@a:9093")),
            "f:9: controller.quorum.voters: 1@a:9093 and 3@a:9093 have one address; name for each broker the host and "
            "port of its controller listener\n");
  EXPECT_NE(mistakes(one_of_three("1@a:1,2@b:9193,3@a:3,4@a:4,5@a:5,6@a:6,7@a:7,8@a:8,9@a:9,10@a:10"))
                .find("names 10 voters, at most 9 vote"),
            std::string::npos);
}

TEST(QuorumConfig, WhichVoterThisBrokerIsHasOneAnswer) {
  EXPECT_EQ(mistakes("controller.quorum.voters=1@a:9093,3@b:9093"),
            "f:1: controller.quorum.voters is given without node.id: set node.id, to one of 1, 3 if this broker is a "
            "voter\n");
  EXPECT_EQ(mistakes("node.id=2\ncontroller.quorum.voters=1@a:9093"),
            "f:2: controller.quorum.voters has no voter 2, the node.id of this broker: add 2@HOST:PORT, or set node.id "
            "to one of 1, or let it be no voter (process.roles=broker)\n");
  EXPECT_EQ(
      mistakes("node.id=1\nprocess.roles=broker\ncontroller.quorum.voters=1@a:9093"),
      "f:3: controller.quorum.voters has the voter 1, this broker, whose process.roles=broker say that it does not "
      "vote: add controller to process.roles, or take it out of the list\n");
}

TEST(QuorumConfig, OtherBrokersFindThisOneWhereItListens) {
  const auto with_port = [](int port) { return mistakes(one_of_three(fmt::format("1@a:9093,2@b:{}", port))); };
  EXPECT_NE(with_port(9193).find("names 2 voters"), std::string::npos);
  EXPECT_NE(with_port(19193).find("names 2 voters"), std::string::npos) << "a mapped port";
  EXPECT_EQ(with_port(9192),
            "f:9: controller.quorum.voters says that this broker is 2@b:9192, and CONTROLLER://:9193 is another port: "
            "name one port in both, or say with advertised.listeners which port is mapped to it\n");
  EXPECT_EQ(
      mistakes(one_of_three("1@0.0.0.0:9093,2@b:9193")),
      "f:9: controller.quorum.voters: 1@0.0.0.0:9093 names no host that another broker can connect to: name it\n");
  EXPECT_EQ(mistakes("node.id=1\ncontroller.quorum.voters=1@a:9093,2@b:9093"),
            "f:2: controller.quorum.voters names this broker and 1 others, and it has no listener for them: add "
            "CONTROLLER://:9093 to listeners and set controller.listener.names=CONTROLLER\n");
  EXPECT_EQ(mistakes("node.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                     "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SSL\n"
                     "controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@a:9093,2@b:9093"),
            "f:2: listeners=CONTROLLER://:9093 wants SSL; this version serves PLAINTEXT only\n");
}

TEST(QuorumConfig, NamesOfListenersAreThoseOfListeners) {
  EXPECT_EQ(mistakes("inter.broker.listener.name=INSIDE"),
            "f:1: inter.broker.listener.name=INSIDE is not in listeners: name one of PLAINTEXT\n");
  EXPECT_EQ(mistakes("listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"
                     "inter.broker.listener.name=CONTROLLER"),
            "f:3: inter.broker.listener.name=CONTROLLER is a listener of controllers (controller.listener.names): name "
            "one of PLAINTEXT\n");
  EXPECT_EQ(
      mistakes("process.roles=broker,controller\ncontroller.listener.names=A,B"),
      "f:2: controller.listener.names=A,B: none of them is in listeners; add one, for example CONTROLLER://:9093, "
      "or delete the line\n");
  EXPECT_EQ(mistakes("process.roles=broker\ncontroller.listener.names=A"), "accepted");
  EXPECT_EQ(mistakes("process.roles=broker,controller\ncontroller.listener.names=A\ninter.broker.listener.name=INSIDE",
                     {.listen = ":9092"}),
            "accepted")
      << "the file's listeners do not count";
}

TEST(QuorumConfig, AllMistakesComeAtOnce) {
  const auto config = from(
      "node.id=7\ncontroller.quorum.voters=1@a:9093,1@b:9093,x\ninter.broker.listener.name=A\n"
      "controller.quorum.bootstrap.servers=:1");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().size(), 5U);
}

}  // namespace
}  // namespace posthaste::app
