#include "tests/durability/broker_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "app/cli/admin_client.h"
#include "reactor/check.h"

namespace posthaste::durability {

void BrokerProcess::start() {
  CHECK(child_ < 0);
  std::vector<char*> arguments;
  for (std::string& argument : command_) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  child_ = fork();
  CHECK(child_ >= 0, "fork failed");
  if (child_ > 0) return;
  // Only calls that are safe after fork in a program with threads, until exec.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(125);
  const int log = open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(126);
  execv(arguments.front(), arguments.data());
  _exit(127);
}

void BrokerProcess::kill() {
  if (child_ < 0) return;
  ::kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = -1;
}

bool BrokerProcess::runs() {
  if (child_ < 0) return false;
  if (waitpid(child_, nullptr, WNOHANG) == 0) return true;
  child_ = -1;
  return false;
}

std::chrono::milliseconds BrokerProcess::wait_until_ready(const std::string& bootstrap,
                                                          std::chrono::milliseconds limit) {
  constexpr auto kStep = std::chrono::milliseconds(2);
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < limit) {
    if (!runs()) return std::chrono::milliseconds(-1);
    if (app::AdminClient::open(bootstrap, std::chrono::seconds(1))) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    }
    std::this_thread::sleep_for(kStep);
  }
  return std::chrono::milliseconds(-1);
}

uint16_t free_port(uint64_t seed) {
  constexpr uint16_t kFirst = 21'000;  // ports for clients begin at 32768
  constexpr uint16_t kCount = 10'000;
  for (uint16_t attempt = 0; attempt < kCount; ++attempt) {
    const auto port = static_cast<uint16_t>(kFirst + (seed + attempt * 17U) % kCount);
    const int probe = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free = bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(probe);
    if (is_free) return port;
  }
  CHECK(false, "no free port");
  return 0;
}

}  // namespace posthaste::durability
