#include "proxy/telemetry/log_command.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>

#include "proxy/telemetry/grpc_status.h"
#include "proxy/telemetry/log_command_entry.h"
#include "proxy/telemetry/log_time.h"

namespace remora::telemetry {

namespace {

using http::HeaderMap;
using http::StreamInfo;
using Arguments = LogArguments;

// -------------------------------------------------------------------------------------------------
// values

template <class Number>
bool append_number(Number value, std::string& out) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  return true;
}

bool append_text(std::string_view text, std::string& out) {
  out.append(text);
  return !text.empty();
}

/// For fields that readers split at white space.
bool append_one_word(std::string_view text, std::string& out) {
  for (char c : text) out += absl::ascii_isspace(static_cast<unsigned char>(c)) ? '_' : c;
  return !text.empty();
}

enum class Part : uint8_t { All, Ip, Port };

template <Part kPart>
bool append_address(const Address& address, std::string& out) {
  if (!address) return false;
  if constexpr (kPart == Part::Port) return address.is_ip() && append_number(address.port(), out);
  if (address.family() != Address::Family::V4) {
    out += kPart == Part::Ip ? address.ip_string() : address.to_string();
    return true;
  }
  std::string_view bytes = address.ip_bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0) out += '.';
    append_number(static_cast<uint8_t>(bytes[i]), out);
  }
  if constexpr (kPart == Part::All) {
    out += ':';
    append_number(address.port(), out);
  }
  return true;
}

std::optional<std::string_view> header_of(const HeaderMap* headers,
                                          const Arguments::Header& header) {
  if (headers == nullptr || header.name.empty()) return std::nullopt;
  if (header.id != http::HeaderId::Other) {
    if (!headers->has(header.id)) return std::nullopt;
    return headers->get(header.id);
  }
  const http::HeaderEntry* entry = headers->find(header.name);
  if (entry == nullptr) return std::nullopt;
  return entry->value;
}

bool append_header(const HeaderMap* headers, const Arguments& a, std::string& out) {
  auto value = header_of(headers, a.header);
  if (!value) value = header_of(headers, a.alternative);
  if (!value) return false;
  out.append(value->substr(0, a.max_length));
  return true;
}

uint64_t bytes_of(const HeaderMap* headers) {
  return headers == nullptr ? 0 : headers->byte_size();
}

// -------------------------------------------------------------------------------------------------
// points in time

enum class Moment : uint8_t {
  RequestStart,
  RequestEnd,
  UpstreamFirstTx,
  UpstreamLastTx,
  UpstreamFirstRx,
  UpstreamLastRx,
  ResponseStart,
  ResponseEnd,
};

struct MomentName {
  std::string_view name;
  Moment moment;
};
constexpr MomentName kMoments[] = {
    {"DS_RX_BEG", Moment::RequestStart},    {"DS_RX_END", Moment::RequestEnd},
    {"US_TX_BEG", Moment::UpstreamFirstTx}, {"US_TX_END", Moment::UpstreamLastTx},
    {"US_RX_BEG", Moment::UpstreamFirstRx}, {"US_RX_END", Moment::UpstreamLastRx},
    {"DS_TX_BEG", Moment::ResponseStart},   {"DS_TX_END", Moment::ResponseEnd},
};

uint64_t at_us(const StreamInfo& info, Moment moment) {
  switch (moment) {
    case Moment::RequestStart:
      return info.start_us;
    case Moment::RequestEnd:
      return info.request_end_us;
    case Moment::UpstreamFirstTx:
      return info.upstream_first_tx_us;
    case Moment::UpstreamLastTx:
      return info.upstream_last_tx_us;
    case Moment::UpstreamFirstRx:
      return info.upstream_first_rx_us;
    case Moment::UpstreamLastRx:
      return info.upstream_last_rx_us;
    case Moment::ResponseStart:
      return info.response_first_us;
    case Moment::ResponseEnd:
      return info.end_us;
  }
  return 0;
}

enum class Precision : uint8_t { Milliseconds, Microseconds, Nanoseconds };

bool append_span(const StreamInfo& info, Moment from, Moment to, Precision precision,
                 std::string& out) {
  uint64_t begin = at_us(info, from), end = at_us(info, to);
  if (begin == 0 || end == 0 || end < begin) return false;
  uint64_t us = end - begin;
  return append_number(precision == Precision::Milliseconds   ? us / 1000
                       : precision == Precision::Microseconds ? us
                                                              : us * 1000,
                       out);
}

template <Moment kFrom, Moment kTo>
bool span_ms(const Arguments&, const StreamInfo& info, std::string& out) {
  return append_span(info, kFrom, kTo, Precision::Milliseconds, out);
}

template <Zone kZone>
bool start_time(const Arguments& a, const StreamInfo& info, std::string& out) {
  append_time(info.start_wall_ns, a.text, kZone, out);
  return true;
}

template <Zone kZone>
bool emit_time(const Arguments& a, const StreamInfo& info, std::string& out) {
  uint64_t us = info.end_us > info.start_us ? info.end_us - info.start_us : 0;
  append_time(info.start_wall_ns + static_cast<WallNs>(us) * 1000, a.text, kZone, out);
  return true;
}

// -------------------------------------------------------------------------------------------------
// gRPC

enum class GrpcSpelling : uint8_t { Camel, Snake, Number };

bool grpc_status(const Arguments& a, const StreamInfo& info, std::string& out) {
  if (!info.is_http || !is_grpc(info)) return false;
  auto status = grpc_status_of(info);
  if (!status) return false;
  auto spelling = static_cast<GrpcSpelling>(a.first);
  std::string_view name =
      spelling == GrpcSpelling::Snake ? grpc_snake_name(*status) : grpc_camel_name(*status);
  if (spelling == GrpcSpelling::Number || name.empty()) return append_number(*status, out);
  out.append(name);
  return true;
}

// -------------------------------------------------------------------------------------------------
// the table

absl::Status compile_header(std::string_view argument, Arguments& out) {
  auto header = [](std::string_view name) {
    std::string lower = absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
    if (lower == "host") lower = ":authority";
    http::HeaderId id = http::header_id_of(lower);
    return Arguments::Header{std::move(lower), id};
  };
  size_t question = argument.find('?');
  out.header = header(argument.substr(0, question));
  if (question == std::string_view::npos) return absl::OkStatus();
  std::string_view alternative = argument.substr(question + 1);
  if (alternative.find('?') != std::string_view::npos) {
    return absl::InvalidArgumentError("more than one alternative header");
  }
  out.alternative = header(alternative);
  return absl::OkStatus();
}

absl::Status compile_local_time(std::string_view argument, Arguments& out) {
  return compile_time_format(argument.empty() ? kDefaultLocalTimeFormat : argument, out);
}

absl::Status compile_environment(std::string_view argument, Arguments& out) {
  const char* value = std::getenv(std::string(argument).c_str());
  out.text = value == nullptr ? "-" : value;
  if (out.text.size() > out.max_length) out.text.resize(out.max_length);
  return absl::OkStatus();
}

absl::Status compile_hostname(std::string_view, Arguments& out) {
  char name[HOST_NAME_MAX + 1] = {};
  out.text = gethostname(name, sizeof name) == 0 ? name : "-";
  return absl::OkStatus();
}

absl::Status compile_grpc(std::string_view argument, Arguments& out) {
  GrpcSpelling spelling = GrpcSpelling::Camel;
  if (argument == "SNAKE_STRING") {
    spelling = GrpcSpelling::Snake;
  } else if (argument == "NUMBER") {
    spelling = GrpcSpelling::Number;
  } else if (argument != "CAMEL_STRING" && !argument.empty()) {
    return absl::InvalidArgumentError("expected CAMEL_STRING, SNAKE_STRING or NUMBER");
  }
  out.first = static_cast<uint8_t>(spelling);
  return absl::OkStatus();
}

absl::Status compile_grpc_number(std::string_view, Arguments& out) {
  return compile_grpc("NUMBER", out);
}

absl::StatusOr<Moment> moment_of(std::string_view name) {
  for (const MomentName& entry : kMoments) {
    if (entry.name == name) return entry.moment;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown point in time '", absl::string_view(name.data(), name.size()), "'"));
}

/// "DS_RX_BEG:US_TX_BEG:us".
absl::Status compile_duration(std::string_view argument, Arguments& out) {
  size_t first = argument.find(':');
  size_t second = first == std::string_view::npos ? first : argument.find(':', first + 1);
  if (first == std::string_view::npos)
    return absl::InvalidArgumentError("expected START:END or START:END:PRECISION");
  auto from = moment_of(argument.substr(0, first));
  if (!from.ok()) return from.status();
  auto to = moment_of(
      argument.substr(first + 1, second == std::string_view::npos ? second : second - first - 1));
  if (!to.ok()) return to.status();
  std::string_view precision =
      second == std::string_view::npos ? "ms" : argument.substr(second + 1);
  Precision unit = Precision::Milliseconds;
  if (precision == "us") {
    unit = Precision::Microseconds;
  } else if (precision == "ns") {
    unit = Precision::Nanoseconds;
  } else if (precision != "ms") {
    return absl::InvalidArgumentError("the precision is ms, us or ns");
  }
  out.first = static_cast<uint8_t>(*from);
  out.second = static_cast<uint8_t>(*to);
  // Only three values: in the bits above those of the moment.
  out.second = static_cast<uint8_t>(out.second | static_cast<uint8_t>(unit) << 4);
  return absl::OkStatus();
}

bool common_duration(const Arguments& a, const StreamInfo& info, std::string& out) {
  return append_span(info, static_cast<Moment>(a.first), static_cast<Moment>(a.second & 0xf),
                     static_cast<Precision>(a.second >> 4), out);
}

bool constant(const Arguments& a, const StreamInfo&, std::string& out) {
  return append_text(a.text, out);
}

using Entry = LogCommandEntry;
using Takes = Entry::Takes;
using Type = Entry::Type;

#define WRITE(expression)                                                    \
  [](const Arguments& a, const StreamInfo& info, std::string& out) -> bool { \
    (void)a;                                                                 \
    (void)info;                                                              \
    return expression;                                                       \
  }
// Of the downstream connection; not there in tests of parts.
#define FACT(expression) WRITE(info.connection != nullptr && (expression))
#define ADDRESS(prefix, suffix, given)                                                   \
  {prefix "_ADDRESS" suffix, Type::String, FACT(append_address<Part::All>(given, out))}, \
      {prefix "_ADDRESS" suffix "_WITHOUT_PORT", Type::String,                           \
       FACT(append_address<Part::Ip>(given, out))},                                      \
  {                                                                                      \
    prefix "_PORT" suffix, Type::Number, FACT(append_address<Part::Port>(given, out))    \
  }

const Address kNoAddress;
const Address& host_of(const StreamInfo& info) {
  return info.upstream_host == nullptr ? kNoAddress : *info.upstream_host;
}
const Address& client_of(const StreamInfo& info) {
  return info.remote ? info.remote : info.connection->remote;
}

std::string_view entry_name(const StreamInfo& info) {
  if (!info.is_http) return "TcpConnectionEnd";
  switch (info.log_entry) {
    case http::LogEntry::NotSet:
      return "NotSet";
    case http::LogEntry::Start:
      return "DownstreamStart";
    case http::LogEntry::Periodic:
      return "DownstreamPeriodic";
    case http::LogEntry::TunnelEstablished:
      return "DownstreamTunnelSuccessfullyEstablished";
    case http::LogEntry::End:
      break;
  }
  return "DownstreamEnd";
}

/// Empty where there is none, never a dash.
bool local_reply_body(const Arguments&, const StreamInfo& info, std::string& out) {
  out.append(info.local_reply_body);
  return true;
}

const Entry kEntries[] = {
    {"START_TIME", Type::String, start_time<Zone::Utc>, Takes::OptionalArgument,
     compile_time_format},
    {"START_TIME_LOCAL", Type::String, start_time<Zone::Local>, Takes::OptionalArgument,
     compile_local_time},
    {"EMIT_TIME", Type::String, emit_time<Zone::Utc>, Takes::OptionalArgument, compile_time_format},
    {"EMIT_TIME_LOCAL", Type::String, emit_time<Zone::Local>, Takes::OptionalArgument,
     compile_local_time},

    {"REQ", Type::String, WRITE(append_header(info.request_headers, a, out)), Takes::Argument,
     compile_header},
    {"RESP", Type::String, WRITE(append_header(info.response_headers, a, out)), Takes::Argument,
     compile_header},
    {"TRAILER", Type::String, WRITE(append_header(info.response_trailers, a, out)), Takes::Argument,
     compile_header},
    {"REQUEST_HEADERS_BYTES", Type::Number,
     WRITE(append_number(bytes_of(info.request_headers), out))},
    {"RESPONSE_HEADERS_BYTES", Type::Number,
     WRITE(append_number(bytes_of(info.response_headers), out))},
    {"RESPONSE_TRAILERS_BYTES", Type::Number,
     WRITE(append_number(bytes_of(info.response_trailers), out))},

    {"PROTOCOL", Type::String,
     WRITE(info.is_http&& append_text(http::protocol_name(info.protocol), out))},
    {"RESPONSE_CODE", Type::Number, WRITE(append_number(info.response_code, out))},
    {"RESPONSE_CODE_DETAILS", Type::String,
     WRITE(append_one_word(info.response_code_details, out))},
    {"CONNECTION_TERMINATION_DETAILS", Type::String,
     WRITE(append_one_word(info.connection_termination_details, out))},
    {"RESPONSE_FLAGS", Type::String, WRITE(append_text(info.flags.short_text(), out))},
    {"RESPONSE_FLAGS_LONG", Type::String, WRITE(append_text(info.flags.long_text(), out))},
    {"GRPC_STATUS", Type::String, grpc_status, Takes::OptionalArgument, compile_grpc},
    {"GRPC_STATUS_NUMBER", Type::Number, grpc_status, Takes::Nothing, compile_grpc_number},

    {"BYTES_RECEIVED", Type::Number, WRITE(append_number(info.bytes_received, out))},
    {"BYTES_SENT", Type::Number, WRITE(append_number(info.bytes_sent, out))},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", Type::Number,
     WRITE(append_number(info.wire_bytes_received, out))},
    {"DOWNSTREAM_WIRE_BYTES_SENT", Type::Number, WRITE(append_number(info.wire_bytes_sent, out))},

    {"DURATION", Type::Number, span_ms<Moment::RequestStart, Moment::ResponseEnd>},
    {"REQUEST_DURATION", Type::Number, span_ms<Moment::RequestStart, Moment::RequestEnd>},
    {"REQUEST_TX_DURATION", Type::Number, span_ms<Moment::RequestStart, Moment::UpstreamLastTx>},
    {"RESPONSE_DURATION", Type::Number, span_ms<Moment::RequestStart, Moment::UpstreamFirstRx>},
    {"RESPONSE_TX_DURATION", Type::Number, span_ms<Moment::UpstreamFirstRx, Moment::ResponseEnd>},
    {"COMMON_DURATION", Type::Number, common_duration, Takes::Argument, compile_duration},

    {"ROUTE_NAME", Type::String, WRITE(append_text(info.route_name, out))},
    {"VIRTUAL_CLUSTER_NAME", Type::String, WRITE(append_text(info.virtual_cluster_name, out))},
    {"UPSTREAM_CLUSTER", Type::String, WRITE(append_text(info.upstream_cluster, out))},
    {"UPSTREAM_CLUSTER_RAW", Type::String, WRITE(append_text(info.upstream_cluster, out))},
    {"UPSTREAM_HOST", Type::String, WRITE(append_address<Part::All>(host_of(info), out))},
    ADDRESS("UPSTREAM_REMOTE", "", host_of(info)),
    ADDRESS("UPSTREAM_LOCAL", "", info.upstream_local),
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", Type::Number, WRITE(append_number(info.attempt_count, out))},
    {"UPSTREAM_CONNECTION_ID", Type::Number,
     WRITE(append_number(info.upstream_connection_id, out))},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", Type::String,
     WRITE(append_one_word(info.upstream_transport_failure, out))},

    ADDRESS("DOWNSTREAM_REMOTE", "", client_of(info)),
    ADDRESS("DOWNSTREAM_DIRECT_REMOTE", "", info.connection->direct_remote),
    ADDRESS("DOWNSTREAM_LOCAL", "", info.connection->local),
    ADDRESS("DOWNSTREAM_DIRECT_LOCAL", "", info.connection->direct_local),
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", Type::String,
     FACT(append_one_word(info.connection->transport_failure, out))},
    {"REQUESTED_SERVER_NAME", Type::String,
     FACT(append_text(info.connection->requested_server_name, out))},
    {"FILTER_CHAIN_NAME", Type::String, FACT(append_text(info.connection->filter_chain_name, out))},
    {"CONNECTION_ID", Type::Number, FACT(append_number(info.connection->connection_id, out))},

    {"STREAM_ID", Type::String, WRITE(append_text(info.request_id, out))},
    {"ACCESS_LOG_TYPE", Type::String, WRITE(append_text(entry_name(info), out))},
    {"LOCAL_REPLY_BODY", Type::String, local_reply_body},
    {"HOSTNAME", Type::String, constant, Takes::Nothing, compile_hostname},
    {"ENVIRONMENT", Type::String, constant, Takes::Argument, compile_environment},
};

#undef ADDRESS
#undef FACT
#undef WRITE

const Entry* entry_of(std::string_view name) {
  for (std::span<const Entry> entries :
       {std::span<const Entry>(kEntries), identity_commands(), state_commands()}) {
    for (const Entry& entry : entries) {
      if (entry.name == name) return &entry;
    }
  }
  return nullptr;
}

absl::Status refuse(std::string_view name, std::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("command '", absl::string_view(name.data(), name.size()),
                   "': ", absl::string_view(reason.data(), reason.size())));
}

}  // namespace

absl::Status compile_time_format(std::string_view argument, LogArguments& out) {
  out.text = argument.empty() ? kDefaultTimeFormat : argument;
  return absl::OkStatus();
}

absl::StatusOr<LogCommand> LogCommand::compile(std::string_view name,
                                               std::optional<std::string_view> argument,
                                               std::optional<size_t> max_length) {
  const Entry* entry = entry_of(name);
  if (entry == nullptr) return refuse(name, "unknown");
  if (entry->takes == Takes::Nothing && argument.has_value())
    return refuse(name, "takes no argument");
  if (entry->takes == Takes::Argument && argument.value_or("").empty())
    return refuse(name, "needs an argument");
  if (max_length.has_value() && (entry->type == Type::Number || max_length == size_t{0})) {
    return refuse(name, "cannot be cut to that length");
  }
  LogCommand command;
  command.write_ = entry->write;
  command.write_json_ = entry->write_json;
  command.number_ = entry->type == Type::Number;
  command.arguments_.max_length = max_length.value_or(SIZE_MAX);
  if (entry->compile == nullptr) return command;
  if (auto status = entry->compile(argument.value_or(""), command.arguments_); !status.ok()) {
    return refuse(name, std::string(status.message()));
  }
  if (entry->takes == Takes::OptionalArgument && argument == "NUMBER") command.number_ = true;
  return command;
}

bool LogCommand::append_json(const StreamInfo& info, std::string& out) const {
  return write_json_(arguments_, info, out);
}

bool LogCommand::append(const StreamInfo& info, std::string& out) const {
  size_t start = out.size();
  if (!write_(arguments_, info, out)) {
    out.resize(start);
    return false;
  }
  if (out.size() - start > arguments_.max_length) out.resize(start + arguments_.max_length);
  return true;
}

}  // namespace remora::telemetry
