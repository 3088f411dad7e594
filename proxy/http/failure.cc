// The table of failures: status, flag, details and body as Envoy answers them. Constant data; any
// thread.
#include "proxy/http/failure.h"

#include <array>

namespace remora::http {
namespace {

struct FlagName {
  ResponseFlag flag;
  std::string_view short_name;
  std::string_view long_name;
};

using F = ResponseFlag;

/// In the order in which a log prints several of them.
constexpr std::array<FlagName, static_cast<size_t>(ResponseFlag::kCount)> kFlags = {{
    {F::URX, "URX", "UpstreamRetryLimitExceeded"},
    {F::LH, "LH", "FailedLocalHealthCheck"},
    {F::UH, "UH", "NoHealthyUpstream"},
    {F::UT, "UT", "UpstreamRequestTimeout"},
    {F::LR, "LR", "LocalReset"},
    {F::UR, "UR", "UpstreamRemoteReset"},
    {F::UF, "UF", "UpstreamConnectionFailure"},
    {F::UC, "UC", "UpstreamConnectionTermination"},
    {F::UO, "UO", "UpstreamOverflow"},
    {F::NR, "NR", "NoRouteFound"},
    {F::DI, "DI", "DelayInjected"},
    {F::FI, "FI", "FaultInjected"},
    {F::RL, "RL", "RateLimited"},
    {F::UAEX, "UAEX", "UnauthorizedExternalService"},
    {F::RLSE, "RLSE", "RateLimitServiceError"},
    {F::DC, "DC", "DownstreamConnectionTermination"},
    {F::SI, "SI", "StreamIdleTimeout"},
    {F::IH, "IH", "InvalidEnvoyRequestHeaders"},
    {F::DPE, "DPE", "DownstreamProtocolError"},
    {F::UMSDR, "UMSDR", "UpstreamMaxStreamDurationReached"},
    {F::RFCF, "RFCF", "ResponseFromCacheFilter"},
    {F::NFCF, "NFCF", "NoFilterConfigFound"},
    {F::DT, "DT", "DurationTimeout"},
    {F::UPE, "UPE", "UpstreamProtocolError"},
    {F::NC, "NC", "NoClusterFound"},
    {F::OM, "OM", "OverloadManagerTerminated"},
    {F::DF, "DF", "DnsResolutionFailed"},
    {F::DO, "DO", "DropOverload"},
    {F::DR, "DR", "DownstreamRemoteReset"},
    {F::UDO, "UDO", "UnconditionalDropOverload"},
}};

const FlagName* name_of(ResponseFlag f) {
  for (const FlagName& entry : kFlags) {
    if (entry.flag == f) return &entry;
  }
  return nullptr;
}

std::string join_names(const ResponseFlags& flags, std::string_view FlagName::*name) {
  if (!flags.any()) return "-";
  std::string text;
  for (const FlagName& entry : kFlags) {
    if (!flags.has(entry.flag)) continue;
    if (!text.empty()) text += ',';
    text += entry.*name;
  }
  return text;
}

}  // namespace

std::string ResponseFlags::short_text() const { return join_names(*this, &FlagName::short_name); }
std::string ResponseFlags::long_text() const { return join_names(*this, &FlagName::long_name); }

std::string_view short_name(ResponseFlag f) {
  const FlagName* entry = name_of(f);
  return entry == nullptr ? std::string_view() : entry->short_name;
}

std::string_view long_name(ResponseFlag f) {
  const FlagName* entry = name_of(f);
  return entry == nullptr ? std::string_view() : entry->long_name;
}

ResponseFlag response_flag_of(std::string_view short_name) {
  for (const FlagName& entry : kFlags) {
    if (entry.short_name == short_name) return entry.flag;
  }
  return ResponseFlag::kCount;
}

namespace failures {

#define REMORA_RESET_BODY \
  "upstream connect error or disconnect/reset before headers. reset reason: "
#define REMORA_RESET_DETAILS(reason) "upstream_reset_before_response_started{" reason "}"

const Failure kRouteNotFound = {404, F::NR, "route_not_found", ""};
const Failure kClusterNotFound = {503, F::NC, "cluster_not_found", ""};
const Failure kNoHealthyUpstream = {503, F::UH, "no_healthy_upstream", "no healthy upstream"};
const Failure kUpstreamConnectFailed = {503, F::UF,
                                        REMORA_RESET_DETAILS("remote_connection_failure"),
                                        REMORA_RESET_BODY "remote connection failure"};
const Failure kUpstreamConnectTimeout = {503, F::UF, REMORA_RESET_DETAILS("connection_timeout"),
                                         REMORA_RESET_BODY "connection timeout"};
const Failure kUpstreamReset = {503, F::UC, REMORA_RESET_DETAILS("connection_termination"),
                                REMORA_RESET_BODY "connection termination"};
const Failure kUpstreamRemoteReset = {503, F::UR, REMORA_RESET_DETAILS("remote_reset"),
                                      REMORA_RESET_BODY "remote reset"};
const Failure kUpstreamOverflow = {503, F::UO, REMORA_RESET_DETAILS("overflow"),
                                   REMORA_RESET_BODY "overflow"};
const Failure kUpstreamTimeout = {504, F::UT, "response_timeout", "upstream request timeout"};
const Failure kUpstreamPerTryTimeout = {504, F::UT, "upstream_per_try_timeout",
                                        "upstream request timeout"};
const Failure kUpstreamPerTryIdleTimeout = {504, F::UT, "upstream_per_try_idle_timeout",
                                            "upstream request timeout"};
const Failure kUpstreamProtocolError = {502, F::UPE, REMORA_RESET_DETAILS("protocol_error"),
                                        REMORA_RESET_BODY "protocol error"};
const Failure kStreamIdleTimeout = {408, F::SI, "stream_idle_timeout", "stream timeout"};
const Failure kRequestTimeout = {408, kNoFlag, "request_overall_timeout", "request timeout"};
const Failure kRequestHeadersTimeout = {408, kNoFlag, "request_header_timeout",
                                        "request header timeout"};
const Failure kMaxStreamDuration = {408, kNoFlag, "max_duration_timeout",
                                    "downstream duration timeout", GrpcStatus::DeadlineExceeded};
const Failure kUpstreamMaxStreamDuration = {408, F::UMSDR, "upstream_max_stream_duration_reached",
                                            "upstream max stream duration reached"};
const Failure kMissingHost = {400, kNoFlag, "missing_host_header", ""};
const Failure kMissingPath = {400, kNoFlag, "missing_path_rejected", ""};
const Failure kAbsolutePath = {404, kNoFlag, "absolute_path_rejected", ""};
const Failure kPathNormalization = {400, kNoFlag, "path_normalization_failed", ""};
const Failure kUpgradeFailed = {403, kNoFlag, "upgrade_failed", ""};
const Failure kExpectationFailed = {417, kNoFlag, "expectation_failed", ""};
const Failure kPayloadTooLarge = {413, kNoFlag, "request_payload_too_large", "Payload Too Large"};
const Failure kResponseTooLarge = {500, kNoFlag, "response_payload_too_large",
                                   "Internal Server Error"};
const Failure kHeadersTooLarge = {431, F::DPE, "http1.headers_too_large",
                                  "Request Header Fields Too Large"};
const Failure kLowVersion = {426, F::DPE, "low_version", "Upgrade Required"};
const Failure kFilterChainNotFound = {500, kNoFlag, "filter_chain_not_found", ""};
const Failure kDownstreamDisconnect = {0, F::DC, "downstream_remote_disconnect", ""};
const Failure kDownstreamProtocolError = {400, F::DPE, "http1.codec_error", "Bad Request"};
const Failure kOverload = {503, F::OM, "overload", "envoy overloaded"};

}  // namespace failures

}  // namespace remora::http
