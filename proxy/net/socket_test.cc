#include "proxy/net/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace remora {
namespace {

Address loopback(uint16_t port = 0) { return *Address::from_ip("127.0.0.1", port); }

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  getsockopt(fd, level, name, &value, &length);
  return value;
}

Socket wait_and_accept(int fd, Address* peer) {
  pollfd waiting = {fd, POLLIN, 0};
  poll(&waiting, 1, 5000);
  return accept_one(fd, peer);
}

TEST(Socket, SeveralListenersShareAPortWhenTheyMay) {
  auto first = listen_on(loopback(), {});
  ASSERT_TRUE(first.ok()) << first.status();
  const Address bound = local_address_of(first->fd());
  EXPECT_TRUE(listen_on(bound, {}).ok());
  ListenOptions alone;
  alone.reuse_port = false;
  const auto refused = listen_on(bound, alone);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().message(),
            "cannot bind '" + bound.to_string() + "': Address already in use");
}

TEST(Socket, ConnectsAndAcceptsWithoutDelay) {
  auto listening = listen_on(loopback(), {});
  ASSERT_TRUE(listening.ok());
  Address peer;
  EXPECT_FALSE(accept_one(listening->fd(), &peer));
  EXPECT_EQ(errno, EAGAIN);

  int error = -1;
  Socket client = connect_to(local_address_of(listening->fd()), {}, &error);
  EXPECT_TRUE(error == 0 || error == EINPROGRESS);
  Socket server = wait_and_accept(listening->fd(), &peer);
  ASSERT_TRUE(server);
  EXPECT_EQ(peer, local_address_of(client.fd()));
  EXPECT_EQ(peer_address_of(client.fd()), local_address_of(listening->fd()));
  EXPECT_EQ(option(server.fd(), IPPROTO_TCP, TCP_NODELAY), 1) << "inherited from the listener";
  EXPECT_EQ(option(client.fd(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_FALSE(original_destination_of(server.fd())) << "nobody redirected it";
  EXPECT_FALSE(is_transparent(server.fd()));
}

TEST(Socket, ConnectsFromTheAddressItIsTold) {
  auto listening = listen_on(loopback(), {});
  ASSERT_TRUE(listening.ok());
  ConnectOptions options;
  options.bind_to = *Address::from_ip("127.0.0.6", 0);
  options.keepalive = {true, 3, 10, 5};
  int error = -1;
  Socket client = connect_to(local_address_of(listening->fd()), options, &error);
  Address peer;
  Socket server = wait_and_accept(listening->fd(), &peer);
  EXPECT_EQ(peer.ip_string(), "127.0.0.6");
  EXPECT_EQ(option(client.fd(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(client.fd(), IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(client.fd(), IPPROTO_TCP, TCP_KEEPIDLE), 10);
  EXPECT_EQ(option(client.fd(), IPPROTO_TCP, TCP_KEEPINTVL), 5);
}

TEST(Socket, AppliesOptionsAndNamesTheOneThatIsRefused) {
  const int mark = 5;
  SocketOption option_of{SOL_SOCKET, SO_PRIORITY,
                         std::string(reinterpret_cast<const char*>(&mark), sizeof(mark))};
  ListenOptions options;
  options.options = {option_of};
  auto listening = listen_on(loopback(), options);
  ASSERT_TRUE(listening.ok()) << listening.status();
  EXPECT_EQ(option(listening->fd(), SOL_SOCKET, SO_PRIORITY), 5);
  options.options[0].name = 9999;
  const auto refused = listen_on(loopback(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("socket option 1/9999"), std::string::npos);
}

TEST(Socket, ReplacesAStaleUnixSocketAndSetsItsMode) {
  const std::string path = "/tmp/remora_socket_test." + std::to_string(getpid());
  const Address address = *Address::from_unix_path(path);
  ListenOptions options;
  options.unix_mode = 0600;
  ASSERT_TRUE(listen_on(address, options).ok());
  const auto again = listen_on(address, options);  // the file of the first is still there
  ASSERT_TRUE(again.ok()) << again.status();
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  int error = -1;
  EXPECT_TRUE(connect_to(address, {}, &error));
  EXPECT_EQ(error, 0);
  unlink(path.c_str());
}

TEST(Socket, AFailedConnectSaysWhy) {
  int error = 0;
  connect_to(*Address::from_unix_path("@nobody-listens-here"), {}, &error);
  EXPECT_EQ(error, ECONNREFUSED);
}

TEST(Socket, MovingHandsOverTheDescriptor) {
  Socket one(dup(0));
  const int fd = one.fd();
  Socket two(std::move(one));
  EXPECT_FALSE(one);
  EXPECT_EQ(two.fd(), fd);
  two = Socket();
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
}

}  // namespace
}  // namespace remora
