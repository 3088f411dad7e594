// Choosing a source, and subscriptions that own theirs.
#include "xds/config_sources.h"

#include <string>
#include <utility>

#include "xds/file_source.h"

namespace remora::xds {
namespace {

/// A subscription and the source that serves it alone. A callback of the source may be on the stack
/// when it goes.
template <class Source>
class OwnSubscription final : public Subscription {
 public:
  OwnSubscription(EventLoop& loop, std::unique_ptr<Source> source,
                  std::unique_ptr<Subscription> subscription)
      : loop_(loop), source_(std::move(source)), subscription_(std::move(subscription)) {}
  ~OwnSubscription() override {
    subscription_.reset();
    loop_.defer_delete(std::move(source_));
  }
  void set_names(std::vector<std::string> names) override {
    subscription_->set_names(std::move(names));
  }

 private:
  EventLoop& loop_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace

ConfigSources::ConfigSources(WorkerContext& context, envoy::config::core::v3::Node node,
                             std::shared_ptr<ControlPlaneStats> stats)
    : context_(context), node_(std::move(node)), stats_(std::move(stats)) {}

ConfigSources::~ConfigSources() = default;

void ConfigSources::set_ads(const ConfigSource& source) {
  ads_ = std::make_unique<AdsClient>(context_, ads_stream(source), node_, stats_);
}

void ConfigSources::start_ads() {
  if (ads_ != nullptr) ads_->start();
}

absl::StatusOr<std::unique_ptr<Subscription>> ConfigSources::subscribe(const ConfigSource& source,
                                                                       SubscribeOptions options,
                                                                       ResourceConsumer& consumer) {
  options.initial_fetch_timeout_ms = source.initial_fetch_timeout_ms;
  switch (source.kind) {
    case ConfigSource::Kind::Ads:
      if (ads_ == nullptr) {
        return absl::InvalidArgumentError(
            "config source is ads, but the bootstrap has no ads_config");
      }
      return ads_->subscribe(options, consumer);
    case ConfigSource::Kind::Path: {
      auto file = std::make_unique<FileSource>(context_.loop(), source, options.type_url);
      auto subscription = file->subscribe(options, consumer);
      return std::make_unique<OwnSubscription<FileSource>>(context_.loop(), std::move(file),
                                                           std::move(subscription));
    }
    case ConfigSource::Kind::Grpc:
    case ConfigSource::Kind::DeltaGrpc:
      break;
  }
  StreamConfig stream = own_stream(source, options.type_url);
  if (stream.target.path.empty()) {
    return absl::InvalidArgumentError("no discovery service for " + options.type_url);
  }
  auto client = std::make_unique<AdsClient>(context_, std::move(stream), node_, nullptr);
  auto subscription = client->subscribe(options, consumer);
  client->start();
  return std::make_unique<OwnSubscription<AdsClient>>(context_.loop(), std::move(client),
                                                      std::move(subscription));
}

}  // namespace remora::xds
