// Choosing a source, and subscriptions that own theirs.
#include "xds/config_sources.h"

#include <utility>

#include "proxy/base/log.h"
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

/// Services of their own: a stream for each subscription.
class ConfigSources::OwnStreams final : public SubscriptionSource {
 public:
  OwnStreams(ConfigSources& sources, ConfigSource source)
      : sources_(sources), source_(std::move(source)) {}

  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer) override {
    StreamConfig stream = own_stream(source_, options.type_url);
    const bool served = !stream.target.path.empty();
    auto client =
        std::make_unique<AdsClient>(sources_.context_, std::move(stream), sources_.node_, nullptr);
    auto subscription = client->subscribe(options, consumer);
    if (served) {
      client->start();
    } else {
      LOG_ERROR(config, "there is no discovery service for {}", options.type_url);
    }
    return std::make_unique<OwnSubscription<AdsClient>>(sources_.context_.loop(), std::move(client),
                                                        std::move(subscription));
  }

 private:
  ConfigSources& sources_;
  const ConfigSource source_;
};

class ConfigSources::Files final : public SubscriptionSource {
 public:
  Files(EventLoop& loop, ConfigSource source) : loop_(loop), source_(std::move(source)) {}

  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer) override {
    auto file = std::make_unique<FileSource>(loop_, source_, options.type_url);
    auto subscription = file->subscribe(options, consumer);
    return std::make_unique<OwnSubscription<FileSource>>(loop_, std::move(file),
                                                         std::move(subscription));
  }

 private:
  EventLoop& loop_;
  const ConfigSource source_;
};

ConfigSources::ConfigSources(WorkerContext& context, envoy::config::core::v3::Node node,
                             std::shared_ptr<ControlPlaneStats> stats)
    : context_(context), node_(std::move(node)), stats_(std::move(stats)) {}

ConfigSources::~ConfigSources() = default;

void ConfigSources::set_ads(const ConfigSource& ads_config) {
  ads_ = std::make_unique<AdsClient>(context_, ads_stream(ads_config), node_, stats_);
}

void ConfigSources::start_ads() {
  if (ads_ != nullptr) ads_->start();
}

SubscriptionSource& ConfigSources::of(const ConfigSource& source) {
  if (source.kind == ConfigSource::Kind::Ads) {
    if (ads_ != nullptr) return *ads_;
    LOG_ERROR(config, "a config source is ads, but the bootstrap has no ads_config");
    if (nowhere_ == nullptr) {
      nowhere_ = std::make_unique<AdsClient>(context_, StreamConfig(), node_, nullptr);
    }
    return *nowhere_;
  }
  for (auto& [known, subscriptions] : others_) {
    if (known == source) return *subscriptions;
  }
  std::unique_ptr<SubscriptionSource> made;
  if (source.kind == ConfigSource::Kind::Path) {
    made = std::make_unique<Files>(context_.loop(), source);
  } else {
    made = std::make_unique<OwnStreams>(*this, source);
  }
  return *others_.emplace_back(source, std::move(made)).second;
}

}  // namespace remora::xds
