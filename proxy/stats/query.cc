#include "proxy/stats/query.h"

#include <absl/strings/str_cat.h>
#include <re2/re2.h>

#include "proxy/stats/prometheus.h"
#include "proxy/stats/stats_text.h"

namespace remora::stats {

namespace {

template <class T>
using Names = std::initializer_list<std::pair<std::string_view, T>>;

template <class T>
bool pick(Names<T> names, std::string_view text, T* out) {
  for (const auto& [name, value] : names) {
    if (name != text) continue;
    *out = value;
    return true;
  }
  return false;
}

/// "usedonly" alone, "usedonly=" and "usedonly=y" are true; "usedonly=n" and the like are not.
bool flag(std::string_view value) {
  return value != "n" && value != "no" && value != "false" && value != "0";
}

}  // namespace

absl::StatusOr<Query> Query::parse(
    std::span<const std::pair<std::string, std::string>> parameters) {
  Query query;
  for (const auto& [name, value] : parameters) {
    if (name == "usedonly") {
      query.used_only = flag(value);
    } else if (name == "invert_filter") {
      query.invert_filter = flag(value);
    } else if (name == "filter") {
      auto regex = std::make_shared<re2::RE2>(value, re2::RE2::Quiet);
      if (!regex->ok()) {
        return absl::InvalidArgumentError(absl::StrCat("Invalid re2 regex: ", regex->error()));
      }
      query.filter = std::move(regex);
    } else if (name == "format") {
      if (!pick<Format>(
              {{"text", Format::Text}, {"json", Format::Json}, {"prometheus", Format::Prometheus}},
              value, &query.format)) {
        return absl::InvalidArgumentError("usage: /stats?format=(json|prometheus|text)\n\n");
      }
    } else if (name == "type") {
      if (!pick<Type>({{"All", Type::All},
                       {"Counters", Type::Counters},
                       {"Gauges", Type::Gauges},
                       {"Histograms", Type::Histograms},
                       {"TextReadouts", Type::TextReadouts}},
                      value, &query.type)) {
        return absl::InvalidArgumentError("invalid &type= param");
      }
    } else if (name == "histogram_buckets") {
      if (!pick<HistogramStyle>({{"summary", HistogramStyle::Quantiles},
                                 {"cumulative", HistogramStyle::Cumulative},
                                 {"disjoint", HistogramStyle::Disjoint}},
                                value, &query.histograms)) {
        return absl::InvalidArgumentError(
            "usage: /stats?histogram_buckets=(cumulative|disjoint|summary)\n");
      }
    }
  }
  return query;
}

bool Query::wants(const Metric& metric) const {
  if (used_only && !metric.used) return false;
  switch (type) {
    case Type::All:
      break;
    case Type::Counters:
      if (metric.kind != Kind::Counter) return false;
      break;
    case Type::Gauges:
      if (metric.kind != Kind::Gauge) return false;
      break;
    case Type::Histograms:
      if (metric.kind != Kind::Histogram) return false;
      break;
    case Type::TextReadouts:
      if (metric.kind != Kind::Text) return false;
      break;
  }
  if (filter == nullptr) return true;
  bool found =
      re2::RE2::PartialMatch(re2::StringPiece(metric.name.data(), metric.name.size()), *filter);
  return found != invert_filter;
}

std::string render(Store& store, const Query& query) {
  switch (query.format) {
    case Format::Prometheus:
      return prometheus_text(store, query);
    case Format::Json:
      return stats_json(store, query);
    case Format::Text:
      break;
  }
  return stats_text(store, query);
}

std::string_view content_type(Format format) {
  return format == Format::Json ? "application/json" : "text/plain; charset=UTF-8";
}

}  // namespace remora::stats
