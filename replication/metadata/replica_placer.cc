#include "replication/metadata/replica_placer.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "reactor/check.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication {

using net::kafka::ErrorCode;
using reactor::planted;

ReplicaPlacer::ReplicaPlacer(const MetadataImage& image) {
  std::map<std::string_view, std::vector<int32_t>> racks;
  for (const auto& [id, registration] : image.brokers()) {
    racks[registration.rack ? std::string_view(*registration.rack) : std::string_view()].push_back(id);
  }
  racks_ = racks.size();
  for (size_t nth = 0; places_.size() < image.brokers().size(); ++nth) {
    size_t rack = 0;
    for (const auto& [name, ids] : racks) {
      if (nth < ids.size()) places_.push_back({ids[nth], rack, image.is_active(ids[nth])});
      ++rack;
    }
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].is_active) leaders_.push_back(i);
  }
}

std::optional<Refusal> ReplicaPlacer::check(size_t factor) const {
  if (!leaders_.empty() && factor <= places_.size()) return std::nullopt;
  return refuse(ErrorCode::kInvalidReplicationFactor, "Replication factor {}: only {} broker(s) are available", factor,
                leaders_.empty() ? 0 : places_.size());
}

std::vector<int32_t> ReplicaPlacer::place(size_t turn, size_t factor) const {
  CHECK(!check(factor) && factor > 0, "{} replicas have no place", factor);
  const size_t leader = leaders_[turn % leaders_.size()];
  if (factor == 1) return {places_[leader].broker};
  const size_t round = turn / leaders_.size();
  const size_t others = places_.size() - 1;
  std::vector<size_t> uses(racks_, 0);  // replicas on each
  std::vector<bool> is_taken(places_.size(), false);
  std::vector<int32_t> replicas;
  const auto take = [&](size_t at) {
    replicas.push_back(places_[at].broker);
    is_taken[at] = true;
    ++uses[places_[at].rack];
  };
  take(leader);
  while (replicas.size() < factor) {
    std::optional<size_t> best;
    const auto cost = [&](size_t at) {
      return std::tuple(planted(kBugs["placed-without-racks"]) ? size_t{0} : uses[places_[at].rack],
                        !places_[at].is_active);
    };
    for (size_t i = 0; i < others; ++i) {
      const size_t at = (leader + 1 + (i + round) % others) % places_.size();
      if (!is_taken[at] && (!best || cost(at) < cost(*best))) best = at;
    }
    CHECK(best.has_value(), "{} of {} brokers hold a replica", replicas.size(), places_.size());
    take(*best);
  }
  return replicas;
}

size_t ReplicaPlacer::turn_behind(int32_t broker, size_t partitions) const {
  const auto led = std::ranges::find_if(leaders_, [&](size_t at) { return places_[at].broker == broker; });
  if (led == leaders_.end() || partitions == 0) return partitions;
  const auto position = static_cast<size_t>(led - leaders_.begin());
  return (partitions - 1) / leaders_.size() * leaders_.size() + position + 1;
}

}  // namespace posthaste::replication
