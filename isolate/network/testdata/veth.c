/* veth: what the kernel itself charges to put a container on a bridge.
 *
 *   cc -O2 -o veth veth.c
 *   sudo ./veth     for each byte read: a child in a new network namespace is put on a bridge in another one by raw
 *                   rtnetlink requests; the nanoseconds that these take are printed
 *
 * Both ends are made in their final namespaces, with indexes known beforehand: link, address, eth0 up, route. It is a
 * yardstick: the making of the namespace itself is not in it. Compare ratios, not times.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ETH0 = 1000, BRIDGE = 2000, PORT = 10000 };

static char buf[1024];
static struct nlmsghdr *const head = (void *)buf;
static int router, number;
static long taken;

static void begin(int type, int flags, const void *fixed, int n)
{
	memset(buf, 0, sizeof buf);
	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	head->nlmsg_len = NLMSG_LENGTH(n);
	memcpy(NLMSG_DATA(head), fixed, n);
}

static struct rtattr *attribute(int type, const void *data, int n)
{
	struct rtattr *a = (void *)(buf + NLMSG_ALIGN(head->nlmsg_len));
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(n);
	if (n) memcpy(RTA_DATA(a), data, n);
	head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void number32(int type, unsigned n) { attribute(type, &n, sizeof n); }
static void end(struct rtattr *a) { a->rta_len = buf + head->nlmsg_len - (char *)a; }

static void talk(int s, const char *what)
{
	char reply[1024];
	if (send(s, buf, head->nlmsg_len, 0) < 0 || recv(s, reply, sizeof reply, 0) < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		_exit(3);
	}
	int err = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)reply))->error;
	if (err) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		_exit(3);
	}
}

static void address(int s, int index, unsigned last)
{
	struct ifaddrmsg m = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = index};
	unsigned a = htonl(100u << 24 | 64u << 16 | last);
	begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
	attribute(IFA_LOCAL, &a, 4);
	attribute(IFA_ADDRESS, &a, 4);
	talk(s, "address");
}

static void queues(void)
{
	number32(IFLA_NUM_TX_QUEUES, 1);
	number32(IFLA_NUM_RX_QUEUES, 1);
}

static int child(void *unused)
{
	struct timespec a, b;
	char name[16];
	(void)unused;
	snprintf(name, sizeof name, "port%d", number);
	clock_gettime(CLOCK_MONOTONIC, &a);
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	struct ifinfomsg port = {.ifi_index = PORT + number, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &port, sizeof port);
	attribute(IFLA_IFNAME, name, strlen(name) + 1);
	number32(IFLA_NET_NS_FD, router);
	number32(IFLA_MASTER, BRIDGE);
	queues();
	struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
	struct ifinfomsg eth0 = {.ifi_index = ETH0};
	struct rtattr *peer = attribute(VETH_INFO_PEER, &eth0, sizeof eth0);
	attribute(IFLA_IFNAME, "eth0", 5);
	queues();
	end(peer), end(data), end(info);
	talk(s, "link");

	address(s, ETH0, 2 + number);
	eth0.ifi_flags = eth0.ifi_change = IFF_UP;
	begin(RTM_NEWLINK, 0, &eth0, sizeof eth0);
	talk(s, "eth0 up");
	struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST};
	unsigned gateway = htonl(100u << 24 | 64u << 16 | 1);
	begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
	attribute(RTA_GATEWAY, &gateway, 4);
	talk(s, "route");
	close(s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	taken = (b.tv_sec - a.tv_sec) * 1000000000L + (b.tv_nsec - a.tv_nsec);
	_exit(0);
}

int main(void)
{
	char *stack_top = (char *)malloc(65536) + 65536;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET)) return perror("unshare"), 3;
	router = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct ifinfomsg bridge = {.ifi_index = BRIDGE, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &bridge, sizeof bridge);
	attribute(IFLA_IFNAME, "bridge0", 8);
	struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, "bridge", 6);
	end(info);
	talk(s, "bridge");
	address(s, BRIDGE, 1);
	if (setns(home, CLONE_NEWNET)) return perror("setns"), 3;
	for (; getchar() != EOF; number++) {
		int status;
		pid_t pid = clone(child, stack_top, CLONE_NEWNET | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) return fprintf(stderr, "number %d refused\n", number), 3;
		printf("%ld\n", taken);
		fflush(stdout);
	}
	return 0;
}
