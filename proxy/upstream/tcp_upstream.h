// One TCP connection to an upstream, from connect to close, with its accounting; what TcpConnection
// and the pending connect are handles to. Listed by its Cluster; destroys itself at the end of the
// turn in which it is over. Thread: the worker's.
#pragma once

#include <memory>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/connect_race.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::upstream {

class TcpAhead;

class TcpUpstream final : public Deferrable,
                          public ListLink,
                          private ConnectionHandler,
                          private EndOfTurn {
 public:
  /// Starts to connect. The breaker's place for the connection has been taken.
  static TcpUpstream& start(Cluster& cluster, HostPtr host, const ConnectionNeeds& needs);

  TcpUpstream(Cluster& cluster, HostPtr host, Socket socket, int connect_error,
              const ConnectionNeeds& needs);
  ~TcpUpstream() override;

  /// The queue place of who asked for this connection.
  std::unique_ptr<PendingRequest> wait(TcpWaiter& waiter);
  /// Nobody has asked for it yet: kept by `ahead` until somebody waits for it.
  void keep_spare(TcpAhead& ahead);
  /// Its user counts among those that `ahead` makes connections for.
  void count_user(TcpAhead& ahead) { user_of_ = &ahead; }
  bool spare() const { return spare_of_ != nullptr; }
  /// Connected, its transport ready.
  bool stands() const { return established_; }
  const HostPtr& host() const { return host_; }
  const Transport& transport() { return connection_.transport(); }
  /// Closes it under its user, who hears on_closed().
  void close();
  /// The cluster goes first: what is still open is closed, and its counts are given back now.
  void detach();

 private:
  class Pending;
  class Handle;

  void on_connected() override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override {}
  void on_write_low_water() override {}

  void end_of_turn() override;
  void on_idle_timeout();

  void set_aside();  // it stands before anybody wants it
  void hand_over();
  void abandon();  // nobody waits for it or uses it any more
  void stop_waiting();
  void count_bytes();
  /// Gives everything back and waits for the end of the turn.
  void over(CloseCause cause);
  void give_back(CloseCause cause);

  Cluster* cluster_;  // null once detached
  const HostPtr host_;
  Connection connection_;
  std::unique_ptr<ConnectRace> race_;  // of a host with several addresses
  TcpWaiter* waiter_ = nullptr;
  Pending* pending_ = nullptr;
  TcpAhead* spare_of_ = nullptr;       // while nobody wants it
  std::unique_ptr<Timer> spare_idle_;  // from then on
  TcpAhead* user_of_ = nullptr;
  const uint64_t created_us_;
  uint64_t received_counted_ = 0;
  uint64_t sent_counted_ = 0;
  const bool failed_at_once_;
  bool established_ = false;
  bool queued_ = false;  // its waiter counts as one that waits
  bool served_ = false;  // it has, or had, a user
  bool over_ = false;
};

}  // namespace remora::upstream
