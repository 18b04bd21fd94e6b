/* A Gy server for freeDiameter that stores nothing: it reads each CCR and grants, and that is all.
 *
 * For `make bench`: an independent stack in C, doing the least that an answer needs. */
#include <freeDiameter/extension.h>

#define CHECK(call) do { int code_ = (call); if (code_) { \
	fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(code_)); return code_; } } while (0)

enum { RATING_GROUP, RESULT_CODE, GRANTED, TOTAL_OCTETS, VALIDITY, SERVICES, APPLICATION, TYPE, COUNT, KINDS };

static const char *const NAMES[KINDS] = {
	[RATING_GROUP] = "Rating-Group",
	[RESULT_CODE] = "Result-Code",
	[GRANTED] = "Granted-Service-Unit",
	[TOTAL_OCTETS] = "CC-Total-Octets",
	[VALIDITY] = "Validity-Time",
	[SERVICES] = "Multiple-Services-Credit-Control",
	[APPLICATION] = "Auth-Application-Id",
	[TYPE] = "CC-Request-Type",
	[COUNT] = "CC-Request-Number",
};
static struct dict_object *kinds[KINDS]; /* looked up once */

static int add(msg_or_avp *parent, int kind, union avp_value *value, struct avp **made)
{
	struct avp *avp = NULL;
	CHECK(fd_msg_avp_new(kinds[kind], 0, &avp));
	if (value)
		CHECK(fd_msg_avp_setvalue(avp, value));
	CHECK(fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, avp));
	if (made)
		*made = avp;
	return 0;
}

/* Grant what one Multiple-Services-Credit-Control asks for. */
static int grant(struct msg *cca, struct avp *asked)
{
	struct avp *services, *unit, *member = NULL;
	int asks = 0;

	CHECK(add(cca, SERVICES, NULL, &services));
	CHECK(fd_msg_browse(asked, MSG_BRW_FIRST_CHILD, &member, NULL));
	while (member) {
		struct avp_hdr *head;
		CHECK(fd_msg_avp_hdr(member, &head));
		if (head->avp_code == 432)
			CHECK(add(services, RATING_GROUP, head->avp_value, NULL));
		asks |= head->avp_code == 437;
		CHECK(fd_msg_browse(member, MSG_BRW_NEXT, &member, NULL));
	}
	CHECK(add(services, RESULT_CODE, &(union avp_value){ .u32 = 2001 }, NULL));
	if (asks) {
		CHECK(add(services, GRANTED, NULL, &unit));
		CHECK(add(unit, TOTAL_OCTETS, &(union avp_value){ .u64 = 10000000 }, NULL));
		CHECK(add(services, VALIDITY, &(union avp_value){ .u32 = 3600 }, NULL));
	}
	return 0;
}

static int serve(struct msg **message, struct avp *unused, struct session *session, void *data, enum disp_action *action)
{
	struct msg *ccr = *message, *cca;
	struct avp *avp = NULL;

	(void)unused, (void)session, (void)data, (void)action;
	CHECK(fd_msg_new_answer_from_req(fd_g_config->cnf_dict, message, 0));
	cca = *message;
	CHECK(fd_msg_rescode_set(cca, "DIAMETER_SUCCESS", NULL, NULL, 1));
	CHECK(add(cca, APPLICATION, &(union avp_value){ .u32 = 4 }, NULL));
	CHECK(fd_msg_browse(ccr, MSG_BRW_FIRST_CHILD, &avp, NULL));
	while (avp) {
		struct avp_hdr *head;
		CHECK(fd_msg_avp_hdr(avp, &head));
		if (head->avp_code == 416)
			CHECK(add(cca, TYPE, head->avp_value, NULL));
		else if (head->avp_code == 415)
			CHECK(add(cca, COUNT, head->avp_value, NULL));
		else if (head->avp_code == 456)
			CHECK(grant(cca, avp));
		CHECK(fd_msg_browse(avp, MSG_BRW_NEXT, &avp, NULL));
	}
	CHECK(fd_msg_send(message, NULL, NULL));
	return 0;
}

static int begin(char *configuration)
{
	struct disp_when when = { 0 };
	int kind;

	(void)configuration;
	for (kind = 0; kind < KINDS; kind++)
		CHECK(fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME, NAMES[kind], &kinds[kind], ENOENT));
	CHECK(fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_NAME,
			     "Diameter Credit Control Application", &when.app, ENOENT));
	CHECK(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, "Credit-Control-Request", &when.command,
			     ENOENT));
	CHECK(fd_disp_register(serve, DISP_HOW_CC, &when, NULL, NULL));
	return fd_disp_app_support(when.app, NULL, 1, 0);
}

EXTENSION_ENTRY("gy_server", begin, "dict_dcca", "dict_dcca_3gpp");
