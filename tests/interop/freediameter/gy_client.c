/* A Gy client for freeDiameter: an extension that charges one session as it is told on standard input.
 *
 * freeDiameter ships the dictionaries of Gy and no client that speaks it.  This one adds the least that makes the
 * daemon one: the application, a CCR, and a look at the CCA.  Connections, watchdog, routing, failover, the T flag and
 * DPR are freeDiameter's own.  What stands behind its name in the configuration is the Destination-Realm; without it
 * that is the daemon's own realm, as with Open5GS.
 *
 * Each line in is  KIND NUMBER USED  (1 initial, 2 update, 3 termination; USED is octets, or - for none), or  quit.
 * Each line out begins with "GY " and goes on with JSON; all else is the daemon's log.
 */
#include <freeDiameter/extension.h>
#include <semaphore.h>

#define CHECK(call) do { int code_ = (call); if (code_) { \
	fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(code_)); _exit(1); } } while (0)

enum { VENDOR_3GPP = 10415, INITIAL = 1, TERMINATION = 3, IMSI = 1, RATING_GROUP = 7, ANSWER_SECONDS = 40 };

static const char *const IMSI_DIGITS = "001010123456789";

static pthread_t steering;
static struct session *session;
static os0_t session_id;
static size_t session_id_length;
static const char *realm;
static uint8_t server[256]; /* Origin-Host of the last answer, the Destination-Host of what follows */
static size_t server_length;
static sem_t answered;
static struct msg *answer;

static struct dict_object *look_up(enum dict_object_type type, int by, const void *what)
{
	struct dict_object *found = NULL;
	CHECK(fd_dict_search(fd_g_config->cnf_dict, type, by, what, &found, ENOENT));
	return found;
}

static struct avp *member(msg_or_avp *parent, const char *name, union avp_value *value)
{
	struct avp *avp = NULL;
	CHECK(fd_msg_avp_new(look_up(DICT_AVP, AVP_BY_NAME_ALL_VENDORS, name), 0, &avp));
	if (value)
		CHECK(fd_msg_avp_setvalue(avp, value));
	CHECK(fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, avp));
	return avp;
}

static void number(msg_or_avp *parent, const char *name, uint32_t it)
{
	member(parent, name, &(union avp_value){ .u32 = it });
}

static void text(msg_or_avp *parent, const char *name, const void *it, size_t length)
{
	member(parent, name, &(union avp_value){ .os = { .data = (uint8_t *)it, .len = length } });
}

/* The value of the one AVP with this code in a message or a group; NULL where there is none. */
static struct avp *child(msg_or_avp *parent, uint32_t vendor, uint32_t code)
{
	struct avp *avp = NULL;
	CHECK(fd_msg_browse(parent, MSG_BRW_FIRST_CHILD, &avp, NULL));
	while (avp) {
		struct avp_hdr *head = NULL;
		CHECK(fd_msg_avp_hdr(avp, &head));
		if (head->avp_code == code && ((head->avp_flags & AVP_FLAG_VENDOR) ? head->avp_vendor : 0) == vendor)
			return avp;
		CHECK(fd_msg_browse(avp, MSG_BRW_NEXT, &avp, NULL));
	}
	return NULL;
}

static void say_number(const char *name, msg_or_avp *parent, uint32_t vendor, uint32_t code, int wide)
{
	struct avp *avp = parent ? child(parent, vendor, code) : NULL;
	struct avp_hdr *head = NULL;
	if (!avp)
		return;
	CHECK(fd_msg_avp_hdr(avp, &head));
	printf(", \"%s\": %llu", name,
	       (unsigned long long)(wide ? head->avp_value->u64 : head->avp_value->u32));
}

static void heard(void *data, struct msg **message)
{
	(void)data;
	answer = *message;
	*message = NULL;
	CHECK(sem_post(&answered));
}

static struct msg *request(int kind, uint32_t count, const char *used)
{
	struct msg *ccr = NULL;
	struct avp *services, *unit, *subscriber;

	CHECK(fd_msg_new(look_up(DICT_COMMAND, CMD_BY_NAME, "Credit-Control-Request"), MSGFL_ALLOC_ETEID, &ccr));
	text(ccr, "Session-Id", session_id, session_id_length);
	CHECK(fd_msg_add_origin(ccr, 1));
	text(ccr, "Destination-Realm", realm, strlen(realm));
	if (kind != INITIAL) /* it makes routing prefer the direct connection */
		text(ccr, "Destination-Host", server, server_length);
	number(ccr, "Auth-Application-Id", 4);
	text(ccr, "Service-Context-Id", "32251@3gpp.org", strlen("32251@3gpp.org"));
	number(ccr, "CC-Request-Type", kind);
	number(ccr, "CC-Request-Number", count);
	subscriber = member(ccr, "Subscription-Id", NULL);
	number(subscriber, "Subscription-Id-Type", IMSI);
	text(subscriber, "Subscription-Id-Data", IMSI_DIGITS, strlen(IMSI_DIGITS));
	if (kind == INITIAL)
		number(ccr, "Multiple-Services-Indicator", 1);
	if (kind == TERMINATION)
		number(ccr, "Termination-Cause", 1);
	services = member(ccr, "Multiple-Services-Credit-Control", NULL);
	if (kind != TERMINATION)
		member(services, "Requested-Service-Unit", NULL);
	if (*used != '-') {
		unit = member(services, "Used-Service-Unit", NULL);
		member(unit, "CC-Total-Octets", &(union avp_value){ .u64 = strtoull(used, NULL, 10) });
	}
	number(services, "Rating-Group", RATING_GROUP);
	return ccr;
}

static void remember(struct avp *origin)
{
	struct avp_hdr *head = NULL;
	if (!origin)
		return;
	CHECK(fd_msg_avp_hdr(origin, &head));
	if (head->avp_value->os.len > sizeof server)
		return;
	server_length = head->avp_value->os.len;
	memcpy(server, head->avp_value->os.data, server_length);
}

static void tell(void)
{
	struct fd_pei error = { 0 };
	struct msg_hdr *head = NULL;
	struct avp *services, *granted = NULL;
	int keeps_rules;

	CHECK(fd_msg_parse_dict(answer, fd_g_config->cnf_dict, NULL));
	keeps_rules = fd_msg_parse_rules(answer, fd_g_config->cnf_dict, &error) == 0;
	CHECK(fd_msg_hdr(answer, &head));
	remember(child(answer, 0, 264));
	services = child(answer, 0, 456);
	if (services)
		granted = child(services, 0, 431);
	printf("GY {\"keeps_rules\": %s, \"is_error\": %s", keeps_rules ? "true" : "false",
	       head->msg_flags & CMD_FLAG_ERROR ? "true" : "false");
	say_number("result_code", answer, 0, 268, 0);
	say_number("kind", answer, 0, 416, 0);
	say_number("number", answer, 0, 415, 0);
	say_number("service_result_code", services, 0, 268, 0);
	say_number("rating_group", services, 0, 432, 0);
	say_number("granted", granted, 0, 421, 1);
	say_number("validity", services, 0, 448, 0);
	say_number("threshold", services, VENDOR_3GPP, 869, 0);
	printf("}\n");
	fflush(stdout);
	CHECK(fd_msg_free(answer));
	answer = NULL;
}

static int all_open(void)
{
	struct fd_list *one;
	int open = 1;
	CHECK(pthread_rwlock_rdlock(&fd_g_peers_rw));
	for (one = fd_g_peers.next; one != &fd_g_peers; one = one->next)
		open &= fd_peer_get_state((struct peer_hdr *)one->o) == STATE_OPEN;
	CHECK(pthread_rwlock_unlock(&fd_g_peers_rw));
	return open;
}

static void *steer(void *unused)
{
	char line[256], used[32];
	int kind, waited = 0;
	unsigned count;

	(void)unused;
	CHECK(fd_core_waitstartcomplete());
	while (!all_open()) {
		if (++waited > 300) {
			fprintf(stderr, "a peer did not open\n");
			_exit(1);
		}
		usleep(100000);
	}
	printf("GY {\"open\": true}\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && sscanf(line, "%d %u %31s", &kind, &count, used) == 3) {
		struct timespec until;
		struct msg *ccr;
		if (kind == INITIAL) {
			CHECK(fd_sess_new(&session, fd_g_config->cnf_diamid, fd_g_config->cnf_diamid_len, (os0_t)"gy", 2));
			CHECK(fd_sess_getsid(session, &session_id, &session_id_length));
		}
		ccr = request(kind, count, used);
		CHECK(fd_msg_send(&ccr, heard, NULL));
		CHECK(clock_gettime(CLOCK_REALTIME, &until));
		until.tv_sec += ANSWER_SECONDS;
		if (sem_timedwait(&answered, &until)) {
			fprintf(stderr, "no answer in %d s\n", ANSWER_SECONDS);
			_exit(1);
		}
		tell();
	}
	CHECK(fd_core_shutdown());
	return NULL;
}

static int begin(char *configuration)
{
	struct dict_object *application;

	realm = configuration ? strdup(configuration) : fd_g_config->cnf_diamrlm;
	application = look_up(DICT_APPLICATION, APPLICATION_BY_NAME, "Diameter Credit Control Application");
	CHECK(fd_disp_app_support(application, NULL, 1, 0));
	CHECK(sem_init(&answered, 0, 0));
	CHECK(pthread_create(&steering, NULL, steer, NULL));
	return 0;
}

EXTENSION_ENTRY("gy_client", begin, "dict_dcca", "dict_dcca_3gpp");
