#include "broker/error_codes.h"

namespace posthaste::broker {

using net::kafka::ErrorCode;
using reactor::Errc;

// No default: a new Errc must be given a meaning here before anything compiles.
ErrorCode error_code_of(Errc error) noexcept {
  switch (error) {
    // The log is not usable for now; clients retry these elsewhere or later.
    case Errc::kIoError:
    case Errc::kNoSpace:
    case Errc::kPermission:
    case Errc::kNoSuchOperation:
    case Errc::kFileTooLarge:
    case Errc::kTooManyFiles:
    case Errc::kNoThread:
    case Errc::kDamaged:
      return ErrorCode::kKafkaStorageError;
    case Errc::kNotFound:
      return ErrorCode::kUnknownTopicOrPartition;
    case Errc::kExists:
      return ErrorCode::kTopicAlreadyExists;
    case Errc::kInvalidArgument:
      return ErrorCode::kInvalidRequest;
    case Errc::kAddressInUse:
    case Errc::kAddressNotAvailable:
    case Errc::kConnectionRefused:
    case Errc::kConnectionClosed:
      return ErrorCode::kNetworkException;
    // Full or busy: the request was not done and may be sent again. REQUEST_TIMED_OUT is retriable.
    case Errc::kTimedOut:
    case Errc::kCancelled:
    case Errc::kBusy:
    case Errc::kNoMemory:
    case Errc::kLimit:
      return ErrorCode::kRequestTimedOut;
    case Errc::kTruncated:
    case Errc::kCorrupt:
      return ErrorCode::kCorruptMessage;
    case Errc::kUnsupported:
      return ErrorCode::kUnsupportedForMessageFormat;
    case Errc::kOutOfRange:
      return ErrorCode::kOffsetOutOfRange;
    case Errc::kStale:
      return ErrorCode::kFencedLeaderEpoch;
    case Errc::kAhead:
      return ErrorCode::kUnknownLeaderEpoch;
    case Errc::kOutOfOrder:
      return ErrorCode::kOutOfOrderSequenceNumber;
    case Errc::kStopping:
      return ErrorCode::kNotLeaderOrFollower;
    case Errc::kFenced:
      return ErrorCode::kInvalidProducerEpoch;
    case Errc::kTooLarge:
      return ErrorCode::kMessageTooLarge;
    case Errc::kMalformed:
      return ErrorCode::kInvalidRecord;
    case Errc::kTimeOutOfRange:
      return ErrorCode::kInvalidTimestamp;
  }
  return ErrorCode::kUnknownServerError;
}

}  // namespace posthaste::broker
