#include "app/cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/admin_client.h"
#include "app/cli/config_command.h"
#include "app/cli/consume_command.h"
#include "app/cli/group_commands.h"
#include "app/cli/output.h"
#include "app/cli/produce_command.h"
#include "app/cli/topic_commands.h"

namespace posthaste::app {
namespace {

constexpr std::string_view kDefaultServer = "127.0.0.1:9092";
constexpr std::string_view kExitCodes =
    "Exit codes: 0 done; 1 the broker refused, or part of the work failed; 2 wrong usage or configuration; 3 no "
    "broker\n"
    "answered. serve also: 70 a durable write failed, 71 the journal's device is full, 72 not enough memory at the "
    "start,\n"
    "73 io_uring broke, 74 the disk is full at the stop, 75 the data folder is gone, 76 ended at once by a third\n"
    "signal, 77 a folder may not be written at the stop (nothing is lost).\n"
    "Signals of serve: SIGTERM, SIGINT and SIGHUP stop it in order (SIGHUP is no reload: settings that are live "
    "change\n"
    "with Kafka's AlterConfigs); a second one says what the stop waits for, a third ends the process at once.";
constexpr int64_t kLargestConfigFileBytes = 1 << 20;

// Options that the client commands share.
struct Common {
  std::string bootstrap{kDefaultServer};
  double timeout_seconds = 30;
  bool json = false;

  std::chrono::milliseconds timeout() const {
    return std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds * 1000));
  }
};

// CLI::Range accepts text that is not a number.
std::string seconds_in_range(const std::string& text) {
  constexpr double kLeast = 0.001;
  constexpr double kMost = 86400;
  double seconds = 0;
  const bool is_number = CLI::detail::lexical_cast(text, seconds);
  return is_number && seconds >= kLeast && seconds <= kMost
             ? std::string()
             : fmt::format("{} is no number of seconds from {} to {}", text, kLeast, kMost);
}

// A number that does not fit would be taken for the largest one that does.
std::string count_in_range(const std::string& text) {
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc{} && end == text.data() + text.size()
             ? std::string()
             : fmt::format("{} is no count from 0 to {}", text, UINT64_MAX);
}

void add_common(CLI::App& command, Common& common) {
  command.add_option("-b,--bootstrap-server", common.bootstrap, "HOST:PORT of a broker, or several with commas")
      ->capture_default_str();
  command.add_option("--timeout", common.timeout_seconds, "seconds to wait for an answer, or for progress")
      ->check(seconds_in_range)
      ->capture_default_str();
  command.add_flag("--json", common.json, "print JSON");
}

// Everything that a parsed command line may hold. Owned by run_cli for the time of the command.
struct Parsed {
  Common common;
  CreateTopicOptions create;
  bool with_internal = false;
  std::vector<std::string> names;
  std::string group;
  ProduceOptions produce;
  ConsumeOptions consume;
  std::string config_file;
  std::vector<std::string> overrides;
  ServeOptions serve;
  std::optional<std::string> data_folder;  // given and empty is a slip, and not the default
  std::optional<std::string> listen;
  bool print_config = false;
  std::function<int()> run;
};

int finish(const CliResult<std::string>& result) {
  if (!result) return fail(result.error());
  print(*result);
  return static_cast<int>(ExitCode::kOk);
}

// Sets what the command does: connect, then `work`.
template <class Work>
void admin_command(CLI::App& command, Parsed& parsed, Work work) {
  add_common(command, parsed.common);
  command.callback([&parsed, work] {
    parsed.run = [&parsed, work] {
      CliResult<AdminClient> client = AdminClient::open(parsed.common.bootstrap, parsed.common.timeout());
      return client ? finish(work(*client)) : fail(client.error());
    };
  });
}

void add_topic_commands(CLI::App& app, Parsed& parsed) {
  CLI::App* topic = app.add_subcommand("topic", "create, list, describe and delete topics")->require_subcommand(1);

  CLI::App* create = topic->add_subcommand("create", "create a topic");
  create->add_option("name", parsed.create.name, "name of the topic")->required();
  create->add_option("-p,--partitions", parsed.create.partitions, "how many partitions (default: the broker's)")
      ->check(CLI::Range(1, INT32_MAX));
  create
      ->add_option("-r,--replication-factor", parsed.create.replication_factor,
                   "how many replicas (default: the broker's)")
      ->check(CLI::Range(1, INT16_MAX));
  create->add_option("-c,--config", parsed.create.configs,
                     "KEY=VALUE, a topic key of Kafka, for example retention.ms=3600000");
  create->add_flag("--if-not-exists", parsed.create.if_not_exists, "a topic that exists is no error");
  admin_command(*create, parsed,
                [&parsed](AdminClient& client) { return create_topic(client, parsed.create, parsed.common.json); });

  CLI::App* list = topic->add_subcommand("list", "list topics");
  list->add_flag("--internal", parsed.with_internal, "also the broker's own topics");
  admin_command(*list, parsed, [&parsed](AdminClient& client) {
    return list_topics(client, parsed.with_internal, parsed.common.json);
  });

  CLI::App* describe = topic->add_subcommand("describe", "show the partitions of topics and their offsets");
  describe->add_option("names", parsed.names, "names of topics")->required();
  admin_command(*describe, parsed,
                [&parsed](AdminClient& client) { return describe_topics(client, parsed.names, parsed.common.json); });

  CLI::App* remove = topic->add_subcommand("delete", "delete topics and all their records");
  remove->add_option("names", parsed.names, "names of topics")->required();
  admin_command(*remove, parsed,
                [&parsed](AdminClient& client) { return delete_topics(client, parsed.names, parsed.common.json); });
}

void add_group_commands(CLI::App& app, Parsed& parsed) {
  CLI::App* group = app.add_subcommand("group", "list and describe consumer groups")->require_subcommand(1);
  CLI::App* list = group->add_subcommand("list", "list consumer groups");
  admin_command(*list, parsed, [&parsed](AdminClient& client) { return list_groups(client, parsed.common.json); });

  CLI::App* describe = group->add_subcommand("describe", "show members, committed offsets and lag of a group");
  describe->add_option("group", parsed.group, "name of the group")->required();
  admin_command(*describe, parsed,
                [&parsed](AdminClient& client) { return describe_group(client, parsed.group, parsed.common.json); });
}

int run_produce(Parsed& parsed) {
  parsed.produce.bootstrap = parsed.common.bootstrap;
  parsed.produce.timeout = parsed.common.timeout();
  const auto report = produce_lines(parsed.produce, stdin);
  if (!report) return fail(report.error());
  if (parsed.common.json) {
    print(nlohmann::ordered_json({{"topic", parsed.produce.topic}, {"acknowledged", report->acknowledged}}).dump() +
          "\n");
  } else {
    fmt::print(stderr, "{} record{} acknowledged\n", report->acknowledged, report->acknowledged == 1 ? "" : "s");
  }
  return static_cast<int>(ExitCode::kOk);
}

int run_consume(Parsed& parsed) {
  parsed.consume.bootstrap = parsed.common.bootstrap;
  parsed.consume.timeout = parsed.common.timeout();
  parsed.consume.json = parsed.common.json;
  const auto printed = consume_records(parsed.consume);
  if (!printed) return fail(printed.error());
  return static_cast<int>(ExitCode::kOk);
}

void add_record_commands(CLI::App& app, Parsed& parsed) {
  CLI::App* produce = app.add_subcommand("produce", "send each line of standard input as a record");
  produce->add_option("topic", parsed.produce.topic, "name of the topic")->required();
  produce->add_option("-K,--key-separator", parsed.produce.key_separator,
                      "what stands between key and value in a line");
  produce->add_option("-p,--partition", parsed.produce.partition, "the partition (default: by key, else spread)")
      ->check(CLI::NonNegativeNumber);
  produce->add_option("-z,--compression", parsed.produce.compression, "none, gzip, snappy, lz4 or zstd")
      ->check(CLI::IsMember({"none", "gzip", "snappy", "lz4", "zstd"}))
      ->capture_default_str();
  produce->add_option("-X,--property", parsed.produce.properties, "KEY=VALUE, a setting of librdkafka");
  add_common(*produce, parsed.common);
  produce->callback([&parsed] { parsed.run = [&parsed] { return run_produce(parsed); }; });

  CLI::App* consume = app.add_subcommand("consume", "print the records of a topic");
  consume->add_option("topic", parsed.consume.topic, "name of the topic")->required();
  consume->add_option("-g,--group", parsed.consume.group,
                      "read as a member of this consumer group and commit what was printed");
  consume->add_flag("--from-beginning", parsed.consume.from_beginning,
                    "start at the first record (in a group: where nothing is committed)");
  consume->add_flag("-e,--exit", parsed.consume.exit_at_end, "end at the end of the topic instead of waiting for more");
  consume->add_option("-n,--count", parsed.consume.count, "end after so many records")->check(count_in_range);
  consume->add_flag("-k,--keys", parsed.consume.with_keys, "print KEY<TAB>VALUE");
  consume->add_option("-X,--property", parsed.consume.properties, "KEY=VALUE, a setting of librdkafka");
  add_common(*consume, parsed.common);
  consume->callback([&parsed] { parsed.run = [&parsed] { return run_consume(parsed); }; });
}

CliResult<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file)
    return cli_error(ExitCode::kUsage,
                     fmt::format("cannot read {}: {}", path, std::strerror(errno)));  // NOLINT: one thread
  std::string text(static_cast<size_t>(kLargestConfigFileBytes) + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0)
    return cli_error(ExitCode::kUsage, fmt::format("cannot read {}: is it a file?", path));
  if (text.size() > kLargestConfigFileBytes)
    return cli_error(ExitCode::kUsage, fmt::format("{} is no configuration: over 1 MiB", path));
  return text;
}

CliResult<std::vector<Property>> gather_properties(const Parsed& parsed) {
  std::vector<Property> properties;
  if (!parsed.config_file.empty()) {
    const auto text = read_file(parsed.config_file);
    if (!text) return std::unexpected(text.error());
    auto parsed_file = parse_properties(*text, parsed.config_file);
    if (!parsed_file) return cli_error(ExitCode::kUsage, parsed_file.error());
    properties = std::move(*parsed_file);
  }
  for (const std::string& text : parsed.overrides) {
    auto property = parse_override(text);
    if (!property) return cli_error(ExitCode::kUsage, property.error());
    properties.push_back(std::move(*property));
  }
  return properties;
}

void print_settings(const BrokerConfig& config) {
  for (const EffectiveSetting& setting : config.settings) {
    print(fmt::format("{}{}={}\n", setting.is_default ? "# " : "", setting.key, setting.value));
  }
}

void take_configuration(Parsed& parsed) {
  parsed.serve.data_folder = parsed.data_folder;
  parsed.serve.listen = parsed.listen;
}

int serve_command(Parsed& parsed, ServeFunction serve) {
  const auto properties = gather_properties(parsed);
  if (!properties) return fail(properties.error());
  take_configuration(parsed);
  const auto config = make_broker_config(*properties, parsed.serve);
  if (!config) {
    for (const std::string& error : config.error()) static_cast<void>(fail({ExitCode::kUsage, error}));
    return static_cast<int>(ExitCode::kUsage);
  }
  if (auto why = cluster_problem(*config)) return fail({ExitCode::kUsage, std::move(*why)});
  if (parsed.print_config) {
    print_settings(*config);
    return static_cast<int>(ExitCode::kOk);
  }
  return serve(*config);
}

// What configures a broker.
void add_configuration(CLI::App& command, Parsed& parsed) {
  command.add_option("--override", parsed.overrides, "KEY=VALUE, counts more than the file; may be repeated")
      ->expected(1)
      ->take_all();
  command.add_option("--data", parsed.data_folder, "data folder (log.dirs)");
  command.add_option("--listen", parsed.listen, "HOST:PORT, one listener in place of the configured ones");
}

int config_check_command(Parsed& parsed) {
  const auto properties = gather_properties(parsed);
  if (!properties) return fail(properties.error());
  take_configuration(parsed);
  return run_config_check(*properties, parsed.serve, parsed.common.json);
}

void add_config_command(CLI::App& app, Parsed& parsed) {
  CLI::App* config = app.add_subcommand("config", "look at the configuration of a broker");
  config->require_subcommand(1);
  CLI::App* check =
      config->add_subcommand("check", "say what a broker would make of each line; 1 if it would not start");
  check->add_option("config", parsed.config_file, "a server.properties with Kafka's broker keys")->required();
  add_configuration(*check, parsed);
  check->add_flag("--json", parsed.common.json, "print JSON");
  check->callback([&parsed] { parsed.run = [&parsed] { return config_check_command(parsed); }; });
}

void add_serve_command(CLI::App& app, Parsed& parsed, ServeFunction serve) {
  CLI::App* command = app.add_subcommand("serve", "run a broker in the foreground until SIGTERM, SIGINT or SIGHUP");
  command->add_option("config", parsed.config_file, "a server.properties with Kafka's broker keys (none is needed)");
  add_configuration(*command, parsed);
  command->add_flag("--print-config", parsed.print_config,
                    "print every key with its value (defaults as comments) and end");
  command->callback([&parsed, serve] { parsed.run = [&parsed, serve] { return serve_command(parsed, serve); }; });
}

}  // namespace

std::string_view version() { return POSTHASTE_VERSION; }

int run_cli(int argc, char** argv, ServeFunction serve) {
  CLI::App app("Posthaste: a durable broker that speaks the Kafka protocol, and its tools", "posthaste");
  app.require_subcommand(1);
  app.footer(std::string(kExitCodes));
  Parsed parsed;
  if (serve != nullptr) add_serve_command(app, parsed, serve);
  add_config_command(app, parsed);
  add_topic_commands(app, parsed);
  add_record_commands(app, parsed);
  add_group_commands(app, parsed);
  app.add_subcommand("version", "print the version")->callback([&parsed] {
    parsed.run = [] {
      print(fmt::format("posthaste {}\n", version()));
      return static_cast<int>(ExitCode::kOk);
    };
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11's way to say: help was asked for, or the usage is wrong
    return app.exit(error) == 0 ? static_cast<int>(ExitCode::kOk) : static_cast<int>(ExitCode::kUsage);
  }
  return parsed.run();
}

}  // namespace posthaste::app
