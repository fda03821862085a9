#include "net/api_versions_answer.h"

#include <algorithm>

#include "net/kafka/api_versions.h"

namespace posthaste::net {
namespace {

using kafka::ApiVersionsResponse;
using kafka::ErrorCode;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
bool is_software_text(std::string_view name) {
  if (name.empty() || !is_letter_or_digit(name.front()) || !is_letter_or_digit(name.back())) return false;
  return std::ranges::all_of(name, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.'; });
}

ApiVersionsResponse list(const kafka::ServedApis& served) {
  ApiVersionsResponse response;
  for (const kafka::ApiInfo& info : served.rows) {
    response.api_keys.push_back(
        {.api_key = info.key, .min_version = info.advertised_min, .max_version = info.advertised_max});
  }
  return response;
}

Response respond(const Request& request, const ApiVersionsResponse& message, int16_t version) {
  Response response;
  response.frame = kafka::encode_response(message, version, request.header.correlation_id);
  return response;
}

}  // namespace

Response answer_api_versions(const Request& request, const kafka::ServedApis& served) {
  const int16_t version = request.header.version;
  ApiVersionsResponse response = list(served);
  if (request.support == kafka::RequestSupport::kUnknownVersion) {
    // The client reads this as version 0 and finds the versions that it may use (KIP-511).
    constexpr int16_t kFallbackVersion = 0;
    response.error_code = ErrorCode::kUnsupportedVersion;
    return respond(request, response, kFallbackVersion);
  }
  const auto body = kafka::decode<kafka::ApiVersionsRequest>(request.body, version);
  if (!body) return Response::closing(CloseReason::kBodyCorrupt);
  constexpr int16_t kFirstWithSoftware = 3;
  if (version >= kFirstWithSoftware &&
      (!is_software_text(body->client_software_name) || !is_software_text(body->client_software_version))) {
    response = {};
    response.error_code = ErrorCode::kInvalidRequest;
  }
  return respond(request, response, version);
}

}  // namespace posthaste::net
