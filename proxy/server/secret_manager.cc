#include "proxy/server/secret_manager.h"

#include <algorithm>
#include <set>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/server/admin/redact.h"
#include "proxy/stats/names.h"
#include "xds/directory_watch.h"
#include "xds/subscription_stats.h"

namespace remora::server {
namespace {

using xds::translate::Secret;
using xds::translate::SecretKind;
using xds::translate::SecretRef;
using xds::translate::TlsPlan;
using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;
using Stat = stats::TlsFactorySchema::Stat;

constexpr int64_t kSecondsPerDay = 86400;
// What Envoy calls certificates that no secret has named.
constexpr char kUnnamedCertificate[] = "unnamed_cert_e3b0c442";
constexpr char kUnnamedRoot[] = "unnamed_ca_cert_e3b0c442";

std::vector<ResourceRef> names_of(const TlsPlan& plan) {
  std::vector<ResourceRef> out;
  for (const SecretRef& ref : plan.refs()) out.push_back({ref.name, ref.source});
  return out;
}

/// Counts connections that come before their secrets.
class CountingFactory final : public TransportFactory {
 public:
  CountingFactory(std::shared_ptr<const tls::Factory> factory,
                  std::shared_ptr<tls::TlsFactoryStats> stats, Stat not_ready)
      : factory_(std::move(factory)), stats_(std::move(stats)), not_ready_(not_ready) {}

  std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const override {
    if (factory_->slots()->at(options.worker) == nullptr)
      stats_->at(options.worker).inc(not_ready_);
    return factory_->make(fd, options);
  }
  bool secure() const override { return true; }
  std::vector<ResourceRef> secrets() const override { return factory_->secrets(); }

 private:
  const std::shared_ptr<const tls::Factory> factory_;
  const std::shared_ptr<tls::TlsFactoryStats> stats_;
  const Stat not_ready_;
};

}  // namespace

/// A plan whose connections may live, and the context that they get now.
struct SecretManager::User {
  TlsPlan plan;
  std::weak_ptr<tls::ContextSlots> slots;
  std::weak_ptr<const TransportFactory> factory;
  std::shared_ptr<tls::TlsFactoryStats> stats;
  tls::ContextPtr context;
  std::vector<std::shared_ptr<stats::Group<stats::TlsCertificateSchema>>> expiry;

  bool uses(const SecretRef& ref) const {
    const std::vector<SecretRef> refs = plan.refs();
    return std::ranges::find(refs, ref) != refs.end();
  }
};

/// The subscription to one secret, what it last brought, and the files that it was read from.
class SecretManager::Watch final : public xds::ResourceConsumer {
 public:
  Watch(SecretManager& manager, SecretRef ref)
      : manager_(manager),
        ref_(std::move(ref)),
        stats_(manager.stats_.group<stats::SubscriptionSchema>(stats::sds_prefix(ref_.name)),
               manager.stats_.main_index()),
        sds_stats_(manager.stats_.group<stats::SdsSchema>(stats::sds_prefix(ref_.name))),
        reading_(manager.main_.timers(), Timer::bind<&Watch::read_again, Watch>(), this) {
    entry_.name = ref_.name;
    entry_.updated_at = wall_now_ns();
    entry_.proto.set_name(ref_.name);
  }

  void subscribe() {
    if (subscription_ != nullptr) return;
    xds::SubscribeOptions options;
    options.type_url = xds::kSecretType;
    options.names = {ref_.name};
    options.observer = &stats_;
    options.initial_fetch_timeout_ms = ref_.source.initial_fetch_timeout_ms;
    subscription_ = manager_.sources_.of(ref_.source).subscribe(options, *this);
  }

  std::vector<xds::Reject> on_resources(const xds::Update& update) override {
    std::vector<xds::Reject> rejects;
    for (const xds::ResourcePtr& resource : update.added) {
      if (resource->name != ref_.name) continue;
      SecretProto proto;
      absl::Status status = absl::InvalidArgumentError("not a Secret");
      if (resource->body.UnpackTo(&proto)) status = apply(std::move(proto), update.version);
      if (!status.ok()) rejects.push_back({resource->name, std::string(status.message())});
    }
    // A secret that is removed serves on: there is no better one.
    if (secret_) settle();
    return rejects;
  }

  void on_initial_fetch_timeout() override {
    LOG_WARNING(secret, "secret '{}' has not come in time; connections that need it are refused",
                ref_.name);
    settle();
  }

  const SecretRef& ref() const { return ref_; }
  const Secret* secret() const { return secret_ ? &*secret_ : nullptr; }
  bool settled() const { return settled_; }
  const SecretEntry& entry() const { return entry_; }

 private:
  absl::Status apply(SecretProto proto, std::string_view version) {
    auto compiled = compile(proto);
    if (!compiled.ok()) return compiled.status();
    if (absl::Status usable = manager_.adopt(ref_, *compiled); !usable.ok()) return usable;
    keep(*std::move(compiled));
    entry_.version = std::string(version);
    entry_.proto = proto;
    redact(&entry_.proto);
    entry_.arrived = true;
    watch_files();
    // Kept only as long as it has to be read again.
    proto_ = secret_->files.empty() ? SecretProto() : std::move(proto);
    LOG_DEBUG(secret, "secret '{}' updated", ref_.name);
    return absl::OkStatus();
  }

  absl::StatusOr<Secret> compile(const SecretProto& proto) {
    auto compiled = xds::translate::secret(proto, manager_.context_);
    if (!compiled.ok()) return compiled;
    if (compiled->name != ref_.name) {
      return absl::InvalidArgumentError("name: Unexpected SDS secret (expecting " + ref_.name +
                                        "): " + compiled->name);
    }
    if (compiled->kind != ref_.kind) {
      return absl::InvalidArgumentError("is a " + std::string(name_of(compiled->kind)) +
                                        ", and a " + std::string(name_of(ref_.kind)) +
                                        " is needed");
    }
    return compiled;
  }

  void keep(Secret secret) {
    secret_ = std::move(secret);
    entry_.updated_at = wall_now_ns();
  }

  void watch_files() {
    std::set<std::string> wanted;
    for (const std::string& file : secret_->files) {
      wanted.insert(secret_->watched_directory.empty() ? xds::directory_of(file)
                                                       : secret_->watched_directory);
    }
    if (wanted == watched_) return;
    watched_ = wanted;
    directories_.clear();
    for (const std::string& directory : wanted) {
      directories_.push_back(std::make_unique<xds::DirectoryWatch>(
          manager_.main_.loop(), directory, [this](const std::string&) { reading_.arm(0); }));
    }
  }

  /// A file was replaced. What cannot be used is left out: the files may be about to be complete.
  void read_again() {
    auto compiled = compile(proto_);
    absl::Status status = compiled.status();
    if (compiled.ok()) status = manager_.adopt(ref_, *compiled);
    if (!status.ok()) {
      sds_stats_->inc(stats::SdsMainStat::key_rotation_failed);
      LOG_WARNING(secret, "secret '{}': {}", ref_.name, std::string(status.message()));
      return;
    }
    keep(*std::move(compiled));
    LOG_DEBUG(secret, "secret '{}' read again", ref_.name);
  }

  void settle() {
    if (std::exchange(settled_, true)) return;
    manager_.tell_settled();
  }

  SecretManager& manager_;
  const SecretRef ref_;
  xds::SubscriptionStats stats_;
  std::shared_ptr<stats::Group<stats::SdsSchema>> sds_stats_;
  std::optional<Secret> secret_;
  SecretProto proto_;
  SecretEntry entry_;
  std::set<std::string> watched_;
  std::vector<std::unique_ptr<xds::DirectoryWatch>> directories_;
  Timer reading_;
  bool settled_ = false;
  std::unique_ptr<xds::Subscription> subscription_;
};

SecretManager::SecretManager(Publisher& publisher, WorkerContext& main, TrustCheck& main_check,
                             stats::Store& stats, xds::translate::Context& context,
                             xds::ConfigSources& sources)
    : publisher_(publisher),
      main_(main),
      main_check_(main_check),
      stats_(stats),
      context_(context),
      sources_(sources),
      server_stats_(stats.group<stats::ServerSchema>(stats::kServerPrefix)),
      before_scrape_(stats.before_scrape([this] { refresh_expiry_gauge(); })) {}

SecretManager::~SecretManager() = default;

// --- secrets of the bootstrap ---

absl::Status SecretManager::add_static(const SecretProto& proto, xds::translate::Context& context) {
  auto compiled = xds::translate::secret(proto, context);
  if (!compiled.ok()) return compiled.status();
  SecretEntry entry{proto.name(), "", wall_now_ns(), proto, true, true};
  redact(&entry.proto);
  std::string key = std::string(name_of(compiled->kind)) + "/" + proto.name();
  if (!static_.try_emplace(std::move(key), *std::move(compiled), std::move(entry)).second) {
    return absl::InvalidArgumentError("Duplicate static secret name " + proto.name());
  }
  return absl::OkStatus();
}

const Secret* SecretManager::static_secret(SecretKind kind, std::string_view name) const {
  const auto found = static_.find(std::string(name_of(kind)) + "/" + std::string(name));
  return found == static_.end() ? nullptr : &found->second.first;
}

// --- contexts ---

absl::StatusOr<std::shared_ptr<const TransportFactory>> SecretManager::factory_for(TlsPlan plan) {
  forget_unused();
  for (const auto& user : users_) {
    const TlsPlan& known = user->plan;
    if (known.content_hash != plan.content_hash || known.side != plan.side ||
        known.scope != plan.scope || known.stat_prefix != plan.stat_prefix) {
      continue;
    }
    if (auto factory = user->factory.lock()) return factory;
  }
  auto context = make_context(
      plan,
      [this](const SecretRef& ref) {
        const Watch* watch = find_watch(ref);
        return watch == nullptr ? nullptr : watch->secret();
      },
      context_);
  if (!context.ok()) return context.status();

  auto user = std::make_unique<User>();
  auto slots = std::make_shared<tls::ContextSlots>(stats_.main_index() + 1);
  for (uint32_t thread = 0; thread < slots->threads(); ++thread) slots->set(thread, *context);
  const bool server = plan.side == TlsPlan::Side::Server;
  auto counters = stats_.group<stats::TlsSchema>(plan.stat_prefix + ".ssl");
  user->stats = stats_.group<stats::TlsFactorySchema>(
      plan.stat_prefix + (server ? ".server_ssl_socket_factory" : ".client_ssl_socket_factory"));
  auto inner = server
                   ? tls::server_factory(plan.server, slots, std::move(counters), names_of(plan))
                   : tls::client_factory(plan.client, slots, std::move(counters), names_of(plan));
  auto factory =
      std::make_shared<CountingFactory>(std::move(inner), user->stats,
                                        server ? Stat::downstream_context_secrets_not_ready
                                               : Stat::upstream_context_secrets_not_ready);
  user->slots = slots;
  user->factory = factory;
  user->context = *std::move(context);
  user->plan = std::move(plan);
  count_expiry(*user);
  users_.push_back(std::move(user));
  return factory;
}

/// Makes the contexts of all who use a secret anew, or none of them.
absl::Status SecretManager::adopt(const SecretRef& ref, const Secret& secret) {
  std::vector<std::pair<User*, tls::ContextPtr>> ready;
  for (const auto& user : users_) {
    if (user->slots.expired() || !user->uses(ref)) continue;
    auto context = make_context(
        user->plan,
        [&](const SecretRef& wanted) -> const Secret* {
          if (wanted == ref) return &secret;
          const Watch* watch = find_watch(wanted);
          return watch == nullptr ? nullptr : watch->secret();
        },
        context_);
    if (!context.ok()) return context.status();
    ready.emplace_back(user.get(), *std::move(context));
  }
  for (auto& [user, context] : ready) {
    user->stats->inc(stats::TlsFactoryMainStat::ssl_context_update_by_sds);
    // Certificates and ticket keys say nothing of whom to trust.
    if (context != nullptr) give(*user, std::move(context), ref.kind == SecretKind::Validation);
  }
  return absl::OkStatus();
}

void SecretManager::give(User& user, tls::ContextPtr context, bool verify_again) {
  auto slots = user.slots.lock();
  if (slots == nullptr) return;
  user.context = context;
  count_expiry(user);
  slots->set(main_.index(), context);
  publisher_.post_all([&](size_t) -> ConfigUpdate {
    return SetTlsContext{slots, context, verify_again};
  });
  if (verify_again) main_check_.start();
}

void SecretManager::count_expiry(User& user) {
  user.expiry.clear();
  if (user.context == nullptr) return;
  const auto show = [&](const std::string& name, int64_t expires_at_s) {
    auto group = stats_.group<stats::TlsCertificateSchema>(
        user.plan.stat_prefix + ".ssl.certificate." + stats::sanitize(name));
    group->set(stats::TlsCertificateMainStat::expiration_unix_time_seconds,
               static_cast<uint64_t>(std::max<int64_t>(expires_at_s, 0)));
    user.expiry.push_back(std::move(group));
  };
  const tls::ContextReport& report = tls::report(*user.context);
  for (const tls::CertificateReport& own : report.own) {
    show(own.name.empty() ? kUnnamedCertificate : own.name, own.identity.not_after_s);
  }
  if (report.ca.empty()) return;
  // Of a bundle, the root that expires first.
  const auto first = std::ranges::min_element(
      report.ca, {}, [](const auto& one) { return one.identity.not_after_s; });
  show(first->name.empty() ? kUnnamedRoot : first->name, first->identity.not_after_s);
}

void SecretManager::forget_unused() {
  std::erase_if(users_, [](const auto& user) { return user->slots.expired(); });
}

// --- subscriptions ---

SecretManager::Watch* SecretManager::find_watch(const SecretRef& ref) const {
  const auto found =
      std::ranges::find_if(watches_, [&](const auto& watch) { return watch->ref() == ref; });
  return found == watches_.end() ? nullptr : found->get();
}

void SecretManager::start() {
  started_ = true;
  refresh();
}

void SecretManager::refresh() {
  forget_unused();
  std::vector<SecretRef> wanted;
  for (const auto& user : users_) {
    for (SecretRef& ref : user->plan.refs()) wanted.push_back(std::move(ref));
  }
  for (const SecretRef& ref : wanted) {
    if (find_watch(ref) == nullptr) watches_.push_back(std::make_unique<Watch>(*this, ref));
  }
  std::erase_if(watches_, [&](const auto& watch) {
    return std::ranges::find(wanted, watch->ref()) == wanted.end();
  });
  if (!started_) return;
  for (const auto& watch : watches_) watch->subscribe();
}

bool SecretManager::settled(const std::vector<ResourceRef>& secrets) const {
  return std::ranges::all_of(secrets, [&](const ResourceRef& wanted) {
    bool known = false;
    for (const auto& watch : watches_) {
      if (watch->ref().name != wanted.name || watch->ref().source != wanted.source) continue;
      known = true;
      if (!watch->settled()) return false;
    }
    return known;
  });
}

void SecretManager::tell_settled() {
  for (const auto& callback : on_settled_) callback();
}

// --- views ---

std::vector<SecretEntry> SecretManager::entries() const {
  std::vector<SecretEntry> out;
  for (const auto& [key, secret] : static_) out.push_back(secret.second);
  for (const auto& watch : watches_) out.push_back(watch->entry());
  return out;
}

std::vector<const tls::ContextReport*> SecretManager::reports() const {
  std::vector<const tls::ContextReport*> out;
  for (const auto& user : users_) {
    if (user->context != nullptr && !user->slots.expired())
      out.push_back(&tls::report(*user->context));
  }
  return out;
}

void SecretManager::refresh_expiry_gauge() {
  uint64_t days = UINT32_MAX;
  const int64_t now_s = static_cast<int64_t>(wall_now_ns() / 1'000'000'000);
  const auto look = [&](const tls::CertificateReport& certificate) {
    const int64_t left = std::max<int64_t>(certificate.identity.not_after_s - now_s, 0);
    days = std::min(days, static_cast<uint64_t>(left / kSecondsPerDay));
  };
  for (const tls::ContextReport* report : reports()) {
    std::ranges::for_each(report->ca, look);
    std::ranges::for_each(report->own, look);
  }
  server_stats_->set(stats::ServerMainStat::days_until_first_cert_expiring, days);
}

}  // namespace remora::server
