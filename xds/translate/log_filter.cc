#include "xds/translate/log_filter.h"

#include <absl/strings/str_cat.h>

#include "proxy/http/failure.h"
#include "xds/translate/match.h"
#include "xds/translate/runtime.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::accesslog::v3;
using telemetry::LogFilter;

constexpr int kMaxDepth = 32;

absl::StatusOr<LogFilter> compile(const proto::AccessLogFilter& from, int depth, Context& context,
                                  const Path& path);

LogFilter::Comparison comparison(const proto::ComparisonFilter& from, const Context& context) {
  LogFilter::Comparison out;
  if (from.op() == proto::ComparisonFilter::GE) out.op = LogFilter::Comparison::Op::AtLeast;
  if (from.op() == proto::ComparisonFilter::LE) out.op = LogFilter::Comparison::Op::AtMost;
  out.value = resolve(from.value(), context.runtime);
  return out;
}

absl::StatusOr<LogFilter::Sampled> sampled(const proto::RuntimeFilter& from, const Context& context,
                                           const Path& path) {
  if (from.runtime_key().empty()) return path.field("runtime_key").error("is required");
  if (context.runtime != nullptr && context.runtime->find(from.runtime_key()) != nullptr) {
    envoy::config::core::v3::RuntimeFractionalPercent percent;
    *percent.mutable_default_value() = from.percent_sampled();
    percent.set_runtime_key(from.runtime_key());
    return LogFilter::Sampled{per_million(percent, context.runtime), 1'000'000};
  }
  using Percent = envoy::type::v3::FractionalPercent;
  LogFilter::Sampled out{from.percent_sampled().numerator(), 100};
  if (from.percent_sampled().denominator() == Percent::TEN_THOUSAND) out.denominator = 10'000;
  if (from.percent_sampled().denominator() == Percent::MILLION) out.denominator = 1'000'000;
  return out;
}

absl::StatusOr<LogFilter::ResponseFlags> response_flags(const proto::ResponseFlagFilter& from,
                                                        Context& context, const Path& path) {
  LogFilter::ResponseFlags out;
  for (int i = 0; i < from.flags_size(); ++i) {
    const http::ResponseFlag flag = http::response_flag_of(from.flags(i));
    if (flag != http::ResponseFlag::kCount) {
      out.bits |= uint64_t{1} << static_cast<int>(flag);
      continue;
    }
    REMORA_TRY(context.not_honoured(path.at("flags", i),
                                    absl::StrCat("unknown flag ", from.flags(i)), false));
  }
  return out;
}

absl::StatusOr<LogFilter::GrpcStatus> grpc_status(const proto::GrpcStatusFilter& from) {
  LogFilter::GrpcStatus out;
  out.exclude = from.exclude();
  for (int status : from.statuses()) {
    if (status >= 0 && status < 64) out.statuses |= uint64_t{1} << status;
  }
  return out;
}

template <class Filters>
absl::StatusOr<std::vector<LogFilter>> several(const Filters& from, int depth, Context& context,
                                               const Path& path) {
  if (from.filters_size() < 2)
    return path.field("filters").error("must have at least two elements");
  std::vector<LogFilter> out;
  for (int i = 0; i < from.filters_size(); ++i) {
    auto filter = compile(from.filters(i), depth, context, path.at("filters", i));
    if (!filter.ok()) return filter.status();
    out.push_back(*std::move(filter));
  }
  return out;
}

absl::StatusOr<LogFilter> compile(const proto::AccessLogFilter& from, int depth, Context& context,
                                  const Path& path) {
  if (depth > kMaxDepth) return path.error("is nested too deeply");
  LogFilter out;
  switch (from.filter_specifier_case()) {
    case proto::AccessLogFilter::kStatusCodeFilter:
      out.what = LogFilter::StatusCode{comparison(from.status_code_filter().comparison(), context)};
      break;
    case proto::AccessLogFilter::kDurationFilter:
      out.what = LogFilter::DurationMs{comparison(from.duration_filter().comparison(), context)};
      break;
    case proto::AccessLogFilter::kNotHealthCheckFilter:
      out.what = LogFilter::NotHealthCheck{};
      break;
    case proto::AccessLogFilter::kRuntimeFilter:
      REMORA_TRY_ASSIGN(out.what,
                        sampled(from.runtime_filter(), context, path.field("runtime_filter")));
      break;
    case proto::AccessLogFilter::kAndFilter: {
      LogFilter::All all;
      REMORA_TRY_ASSIGN(all.of,
                        several(from.and_filter(), depth + 1, context, path.field("and_filter")));
      out.what = std::move(all);
      break;
    }
    case proto::AccessLogFilter::kOrFilter: {
      LogFilter::Any any;
      REMORA_TRY_ASSIGN(any.of,
                        several(from.or_filter(), depth + 1, context, path.field("or_filter")));
      out.what = std::move(any);
      break;
    }
    case proto::AccessLogFilter::kHeaderFilter: {
      const Path here = path.field("header_filter");
      auto match = header_match(from.header_filter().header(), context, here.field("header"));
      if (!match.ok()) return match.status();
      out.what = LogFilter::Header{[match = *std::move(match)](const http::HeaderMap& headers) {
        return match.matches(headers);
      }};
      break;
    }
    case proto::AccessLogFilter::kResponseFlagFilter:
      REMORA_TRY_ASSIGN(out.what, response_flags(from.response_flag_filter(), context,
                                                 path.field("response_flag_filter")));
      break;
    case proto::AccessLogFilter::kGrpcStatusFilter:
      REMORA_TRY_ASSIGN(out.what, grpc_status(from.grpc_status_filter()));
      break;
    case proto::AccessLogFilter::FILTER_SPECIFIER_NOT_SET:
      // Logging more than was asked for harms less than logging nothing.
      REMORA_TRY(context.not_honoured(path, "has no filter that is supported", false));
      break;
  }
  return out;
}

}  // namespace

absl::StatusOr<LogFilter> log_filter(const proto::AccessLogFilter& from, Context& context,
                                     const Path& path) {
  return compile(from, 0, context, path);
}

}  // namespace remora::xds::translate
