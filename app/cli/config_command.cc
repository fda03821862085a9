#include "app/cli/config_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/cli/output.h"
#include "app/config/setting_values.h"

namespace posthaste::app {
namespace {

std::string_view to_string(SettingUse use) {
  switch (use) {
    case SettingUse::kUsed:
      return "used";
    case SettingUse::kNoEffect:
      return "no effect";
    case SettingUse::kUnknown:
      return "unknown, ignored";
    case SettingUse::kWrong:
      return "WRONG";
  }
  return "?";
}

std::string error_line(const JudgedSetting& setting) {
  return fmt::format("{}: {}", setting.property.source, setting.why);
}

// Mistakes that no single line contains.
std::vector<std::string> errors_together(const std::vector<JudgedSetting>& judged,
                                         const std::vector<std::string>& errors) {
  std::vector<std::string> rest;
  for (const std::string& error : errors) {
    const auto told = [&](const JudgedSetting& setting) {
      return setting.use == SettingUse::kWrong && error_line(setting) == error;
    };
    if (std::ranges::none_of(judged, told)) rest.push_back(error);
  }
  return rest;
}

struct Report {
  std::vector<JudgedSetting> settings;
  std::vector<std::string> errors;  // of no single line
  std::vector<std::string> warnings;
  size_t mistakes = 0;
};

std::string as_json(const Report& report) {
  using nlohmann::json;
  json settings = json::array();
  for (const JudgedSetting& setting : report.settings) {
    settings.push_back({{"source", setting.property.source},
                        {"key", setting.property.key},
                        {"use", to_string(setting.use)},
                        {"why", setting.why}});
  }
  const json whole = {{"would_start", report.mistakes == 0},
                      {"settings", settings},
                      {"errors", report.errors},
                      {"warnings", report.warnings}};
  return whole.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string as_text(const Report& report) {
  Table table({"LINE", "KEY", "USE", "WHY"});
  for (const JudgedSetting& setting : report.settings) {
    table.add({setting.property.source, setting.property.key, std::string(to_string(setting.use)), setting.why});
  }
  std::string text = report.settings.empty() ? std::string() : table.text();
  for (const std::string& error : report.errors) text += fmt::format("error: {}\n", printable(error));
  for (const std::string& warning : report.warnings) text += fmt::format("warning: {}\n", printable(warning));
  text += report.mistakes == 0 ? std::string("posthaste serve would start with this\n")
                               : fmt::format("posthaste serve would not start with this: {} wrong\n", report.mistakes);
  return text;
}

}  // namespace

int run_config_check(std::span<const Property> properties, const ServeOptions& options, bool json) {
  Report report{.settings = SettingValues(properties).judged(), .errors = {}, .warnings = {}};
  const auto config = make_broker_config(properties, options);
  if (config) {
    report.warnings = config->warnings;
    if (auto why = cluster_problem(*config)) report.errors.push_back(std::move(*why));
    report.mistakes = report.errors.size();
  } else {
    report.mistakes = config.error().size();
    report.errors = errors_together(report.settings, config.error());
  }
  print(json ? as_json(report) : as_text(report));
  return static_cast<int>(report.mistakes == 0 ? ExitCode::kOk : ExitCode::kRefused);
}

}  // namespace posthaste::app
