/* freeDiameter skips a loopback address in ListenOn and then listens everywhere.  Loaded before it, this keeps a socket
 * that is bound to every IPv4 address to 127.0.0.1, so that a test opens no door to the network. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr *address, socklen_t length)
{
	int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_in closed;

	if (address->sa_family != AF_INET || length < sizeof closed)
		return next(socket, address, length);
	closed = *(const struct sockaddr_in *)address;
	if (closed.sin_addr.s_addr == htonl(INADDR_ANY))
		closed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return next(socket, (const struct sockaddr *)&closed, sizeof closed);
}
