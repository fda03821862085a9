// The quorum's messages (replication/quorum/messages.h) as requests and answers of Kafka's wire, and back. Each field
// of a message survives: what an answer repeats of its request is taken from the request when it comes back. What
// comes from outside is checked here, so that the quorum only sees what a member could have said; what it says is
// the quorum's to judge. Pure functions, any core; views of what is made point into the arguments.
#pragma once
#include <expected>
#include <string>

#include "replication/peers/quorum_requests.h"
#include "replication/quorum/transport.h"

namespace posthaste::replication::peers {

// Who asks and answers here.
struct QuorumIdentity {
  std::string cluster_id;
  quorum::ReplicaKey self;
};

// Why a message does not reach the quorum. Of a request: what its sender gets, as Kafka has it. Of an answer: what the
// peer has said, or kCorruptMessage if it is none to what was asked.
struct WireRefusal {
  net::kafka::ErrorCode error{};
  std::string_view why;
};
template <class M>
using FromWire = std::expected<M, WireRefusal>;

// ---- Requests, as they leave `us`.

wire::VoteRequest to_wire(const quorum::VoteRequest& request, const QuorumIdentity& us);
net::kafka::BeginQuorumEpochRequest to_wire(const quorum::BeginEpochRequest& request, const QuorumIdentity& us,
                                            quorum::NodeId to);
net::kafka::EndQuorumEpochRequest to_wire(const quorum::EndEpochRequest& request, const QuorumIdentity& us);
wire::FetchRequest to_wire(const quorum::FetchRequest& request, const QuorumIdentity& us,
                           reactor::Duration fetch_wait_max);
net::kafka::FetchSnapshotRequest to_wire(const quorum::FetchSnapshotRequest& request, const QuorumIdentity& us);

// ---- Requests, as they come to `us`.

FromWire<quorum::VoteRequest> from_wire(const wire::VoteRequest& request, const QuorumIdentity& us);
FromWire<quorum::BeginEpochRequest> from_wire(const net::kafka::BeginQuorumEpochRequest& request,
                                              const QuorumIdentity& us);
FromWire<quorum::EndEpochRequest> from_wire(const net::kafka::EndQuorumEpochRequest& request, const QuorumIdentity& us);
FromWire<quorum::FetchRequest> from_wire(const wire::FetchRequest& request, const QuorumIdentity& us);
FromWire<quorum::FetchSnapshotRequest> from_wire(const net::kafka::FetchSnapshotRequest& request,
                                                 const QuorumIdentity& us);

// Who sent it.
inline quorum::NodeId sender_of(const quorum::VoteRequest& request) { return request.candidate.id; }
inline quorum::NodeId sender_of(const quorum::BeginEpochRequest& request) { return request.leader; }
inline quorum::NodeId sender_of(const quorum::EndEpochRequest& request) { return request.leader; }
inline quorum::NodeId sender_of(const quorum::FetchRequest& request) { return request.replica.id; }
inline quorum::NodeId sender_of(const quorum::FetchSnapshotRequest& request) { return request.replica.id; }

// ---- Answers. `records`: the batches that a fetch's answer carries, or a piece of a snapshot; the message's own
// `batches`, `bytes` and `body` are the driver's way to name them and do not travel.

wire::VoteResponse to_wire(const quorum::VoteResponse& answer);
net::kafka::BeginQuorumEpochResponse to_wire(const quorum::BeginEpochResponse& answer);
// The quorum does not answer the end of an epoch: it was heard.
net::kafka::EndQuorumEpochResponse end_epoch_heard(quorum::Epoch epoch);
wire::FetchResponse to_wire(const quorum::FetchResponse& answer, net::kafka::Bytes records);
net::kafka::FetchSnapshotResponse to_wire(const quorum::FetchSnapshotResponse& answer, net::kafka::Bytes records);

// An answer with what it carries, a view of its frame. `batches` of a fetch and `body` of a snapshot's piece are left
// to the driver.
template <class M>
struct Carrying {
  M message;
  net::kafka::Bytes records;
};

FromWire<quorum::VoteResponse> from_wire(const wire::VoteResponse& answer, const quorum::VoteRequest& asked);
FromWire<quorum::BeginEpochResponse> from_wire(const net::kafka::BeginQuorumEpochResponse& answer,
                                               const quorum::BeginEpochRequest& asked);
FromWire<Carrying<quorum::FetchResponse>> from_wire(const wire::FetchResponse& answer,
                                                    const quorum::FetchRequest& asked);
FromWire<Carrying<quorum::FetchSnapshotResponse>> from_wire(const net::kafka::FetchSnapshotResponse& answer,
                                                            const quorum::FetchSnapshotRequest& asked);

// The answer to a request that is refused.
template <class Response>
Response refusal_of(net::kafka::ErrorCode error) {
  Response response;
  response.error_code = error;
  return response;
}

}  // namespace posthaste::replication::peers
