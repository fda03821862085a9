// The parts of the command line that need no broker: tables, ids, assignments, versions, exit codes, and what a client
// does when the other side is no broker. Commands against a real broker: tests/clients.
#include "app/cli/cli.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "app/cli/admin_client.h"
#include "app/cli/output.h"
#include "net/kafka/metadata.h"

namespace posthaste::app {
namespace {

TEST(Table, AlignsNumbersRightAndTextLeft) {
  Table table({"TOPIC", "PARTITIONS", "LAG"});
  table.add({"orders", "3", "-"});
  table.add({"a", "100", "7"});
  EXPECT_EQ(table.text(), "TOPIC   PARTITIONS  LAG\norders           3    -\na              100    7\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({"A", "B"});
  table.add({"caf\u00e9", "x"});
  table.add({"tea", "y"});
  EXPECT_EQ(table.text(), "A     B\ncaf\u00e9  x\ntea   y\n");
}

TEST(Table, NamesCannotSteerTheTerminal) { EXPECT_EQ(printable("a\x1b[31m\n\x7f"), "a?[31m??"); }

TEST(AdminClient, CommonVersion) {
  EXPECT_EQ(common_version(0, 12, 0, 13, 0), 12);
  EXPECT_EQ(common_version(0, 12, 0, 9, 4), 9);
  EXPECT_EQ(common_version(0, 12, 0, 3, 4), std::nullopt);
  EXPECT_EQ(common_version(4, 12, 0, 3, 0), std::nullopt);
  EXPECT_EQ(common_version(0, 2, 3, 5, 0), std::nullopt);
}

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

// A listener on a free loopback port that reads a little, sends `answer` and closes.
class OneAnswer {
 public:
  explicit OneAnswer(std::vector<std::byte> answer) : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] {
      const int peer = accept(listener_, nullptr, nullptr);
      std::array<std::byte, 512> request{};
      EXPECT_GT(recv(peer, request.data(), request.size(), 0), 0);
      EXPECT_EQ(send(peer, answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
      close(peer);
    });
  }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;
  ~OneAnswer() {
    thread_.join();
    close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

CliError error_of(std::vector<std::byte> answer) {
  const OneAnswer server(std::move(answer));
  const auto client = AdminClient::open(server.address(), std::chrono::seconds(20));
  return client ? CliError{ExitCode::kOk, ""} : client.error();
}

TEST(AdminClient, WhatIsNoBrokerIsSaidSo) {
  EXPECT_NE(error_of(bytes({'H', 'T', 'T', 'P', '/', '1'})).message.find("does not speak the Kafka protocol"),
            std::string::npos);
  const CliError closed = error_of({});
  EXPECT_EQ(closed.code, ExitCode::kUnreachable);
  EXPECT_NE(closed.message.find("closed the connection"), std::string::npos);
  EXPECT_NE(error_of(bytes({0, 0, 0, 2, 0, 0})).message.find("cannot be read"), std::string::npos);
  EXPECT_NE(error_of(bytes({0, 0, 0, 6, 0, 0, 0, 9, 0, 0})).message.find("cannot be read"), std::string::npos);
}

// ApiVersions v0 with nothing in it: a broker that serves no request.
TEST(AdminClient, AnUnservedRequestIsNamed) {
  const OneAnswer server(bytes({0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
  auto client = AdminClient::open(server.address(), std::chrono::seconds(20));
  ASSERT_TRUE(client) << client.error().message;
  const auto answer = client->call(net::kafka::MetadataRequest{});
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("does not serve Metadata"), std::string::npos);
}

TEST(AdminClient, BootstrapMistakesAreUsage) {
  EXPECT_EQ(AdminClient::open("", std::chrono::seconds(1)).error().code, ExitCode::kUsage);
  EXPECT_EQ(AdminClient::open("9092", std::chrono::seconds(1)).error().code, ExitCode::kUsage);
}

int run(std::vector<std::string> arguments, ServeFunction serve = nullptr) {
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), "posthaste");
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return run_cli(static_cast<int>(argv.size()), argv.data(), serve);
}

TEST(CommandLine, ExitCodes) {
  EXPECT_EQ(run({"version"}), 0);
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"topic"}), 2);
  EXPECT_EQ(run({"topic", "create", "a", "-p", "0"}), 2);
  EXPECT_EQ(run({"topic", "list", "-b", "127.0.0.1"}), 2);
  EXPECT_EQ(run({"consume", "a", "-X", "no.such.key=1"}), 2);
}

TEST(CommandLine, ServeGetsTheConfiguration) {
  const auto serve = [](const BrokerConfig& config) {
    const bool right =
        config.topic.partitions == 5 && config.data_folder == "/d" && config.listeners.at(0).port == 9093;
    return right ? 42 : 1;
  };
  EXPECT_EQ(run({"serve", "--override", "num.partitions=4", "--override", "num.partitions=5", "--data", "/d",
                 "--listen", "127.0.0.1:9093"},
                serve),
            42);
  EXPECT_EQ(run({"serve", "--override", "num.partitions"}, serve), 2);
  EXPECT_EQ(run({"serve", "--override", "num.partition=4"}, serve), 2);
  EXPECT_EQ(run({"serve", "/no/such/file"}, serve), 2);
  EXPECT_EQ(run({"serve", "/"}, serve), 2);
}

}  // namespace
}  // namespace posthaste::app
