/*
 * Connects and closes as fast as it goes, and waits for nothing.
 *
 *   storm [-k] SECONDS (PORT|PATH)...     a TCP port of 127.0.0.1, or a Unix socket
 *
 * -k: a Unix socket that found no room knocks again, which saves making another one.
 *
 * Prints how often it tried and how often there was room.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Whether the other end had room. */
static int knock(const char *where, int keeps)
{
	static int again = -1;
	struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	const int local = *where == '/';
	const int sock = local && again >= 0 ? again : socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int failed;
	if (sock < 0)
		return 0;
	if (local) {
		strncpy(path.sun_path, where, sizeof path.sun_path - 1);
		failed = connect(sock, (struct sockaddr *)&path, sizeof path);
		again = failed && keeps ? sock : -1;
		if (failed && keeps)
			return 0;
	} else {
		const struct linger at_once = {1, 0}; /* no port waits for its end */
		struct pollfd ready = {sock, POLLOUT, 0};
		setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		port.sin_port = htons(atoi(where));
		failed = connect(sock, (struct sockaddr *)&port, sizeof port);
		/* On one machine it is there at once, or the queue is full. */
		if (failed && errno == EINPROGRESS)
			failed = poll(&ready, 1, 0) != 1 || ready.revents & (POLLERR | POLLHUP);
	}
	close(sock);
	return !failed;
}

int main(int count, char **words)
{
	unsigned long tries = 0, room = 0;
	const int keeps = count > 1 && !strcmp(words[1], "-k");
	double end;
	count -= keeps;
	words += keeps;
	if (count < 3)
		return 2;
	end = now() + atof(words[1]);
	while (tries % 64 || now() < end) {
		room += knock(words[2 + tries % (count - 2)], keeps);
		tries++;
	}
	printf("%lu %lu\n", tries, room);
	return 0;
}
