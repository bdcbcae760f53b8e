/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that a job makes in the account, in one form: which action lists, makes and deletes a
 * kind, and where its reply has what. The words for states are the products' own.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "cloud/private.h"

enum id_form { ID_PLAIN, ID_JSON_TEXT };

static const struct kind {
	const char *name;
	enum cloud_product product;
	const char *list_action, *list_path;
	const char *id_parameter; /* of the list */
	enum id_form id_form;
	const char *id, *title, *state, *parent, *created,
		*percent;				/* in an item; "" or NULL: none */
	const char *name_parameter;			/* of the list */
	const char *ready, *stopped, *leaving, *failed; /* states */
	const char *create_action, *create_id;
	const char *delete_action, *delete_id;
	bool force;
} kinds[CLOUD_KIND_COUNT] = {
	[CLOUD_KIND_VPC] = {.name = "vpc",
			    .product = CLOUD_VPC,
			    .list_action = "DescribeVpcs",
			    .list_path = "Vpcs.Vpc",
			    .id_parameter = "VpcId",
			    .id = "VpcId",
			    .title = "VpcName",
			    .state = "Status",
			    .created = "CreationTime",
			    .name_parameter = "VpcName",
			    .ready = "Available",
			    .leaving = "Deleting",
			    .create_action = "CreateVpc",
			    .create_id = "VpcId",
			    .delete_action = "DeleteVpc",
			    .delete_id = "VpcId"},
	[CLOUD_KIND_VSWITCH] = {.name = "vswitch",
				.product = CLOUD_VPC,
				.list_action = "DescribeVSwitches",
				.list_path = "VSwitches.VSwitch",
				.id_parameter = "VSwitchId",
				.id = "VSwitchId",
				.title = "VSwitchName",
				.state = "Status",
				.parent = "VpcId",
				.created = "CreationTime",
				.name_parameter = "VSwitchName",
				.ready = "Available",
				.leaving = "Deleting",
				.create_action = "CreateVSwitch",
				.create_id = "VSwitchId",
				.delete_action = "DeleteVSwitch",
				.delete_id = "VSwitchId"},
	[CLOUD_KIND_SECURITY_GROUP] = {.name = "security-group",
				       .product = CLOUD_ECS,
				       .list_action = "DescribeSecurityGroups",
				       .list_path = "SecurityGroups.SecurityGroup",
				       .id_parameter = "SecurityGroupId",
				       .id = "SecurityGroupId",
				       .title = "SecurityGroupName",
				       .parent = "VpcId",
				       .created = "CreationTime",
				       .name_parameter = "SecurityGroupName",
				       .create_action = "CreateSecurityGroup",
				       .create_id = "SecurityGroupId",
				       .delete_action = "DeleteSecurityGroup",
				       .delete_id = "SecurityGroupId"},
	[CLOUD_KIND_INSTANCE] = {.name = "instance",
				 .product = CLOUD_ECS,
				 .list_action = "DescribeInstances",
				 .list_path = "Instances.Instance",
				 .id_parameter = "InstanceIds",
				 .id_form = ID_JSON_TEXT,
				 .id = "InstanceId",
				 .title = "InstanceName",
				 .state = "Status",
				 .parent = "VpcAttributes.VSwitchId",
				 .created = "CreationTime",
				 .name_parameter = "InstanceName",
				 .ready = "Running",
				 .stopped = "Stopped",
				 .leaving = "Stopping",
				 .create_action = "RunInstances",
				 .create_id = "InstanceIdSets.InstanceIdSet.0",
				 .delete_action = "DeleteInstance",
				 .delete_id = "InstanceId",
				 .force = true},
	[CLOUD_KIND_DISK] = {.name = "disk",
			     .product = CLOUD_ECS,
			     .list_action = "DescribeDisks",
			     .list_path = "Disks.Disk",
			     .id_parameter = "DiskIds",
			     .id_form = ID_JSON_TEXT,
			     .id = "DiskId",
			     .title = "DiskName",
			     .state = "Status",
			     .parent = "InstanceId",
			     .created = "CreationTime",
			     .name_parameter = "DiskName",
			     .ready = "In_use Available",
			     .leaving = "Detaching",
			     .create_action = "CreateDisk",
			     .create_id = "DiskId",
			     .delete_action = "DeleteDisk",
			     .delete_id = "DiskId"},
	[CLOUD_KIND_SNAPSHOT] = {.name = "snapshot",
				 .product = CLOUD_ECS,
				 .list_action = "DescribeSnapshots",
				 .list_path = "Snapshots.Snapshot",
				 .id_parameter = "SnapshotIds",
				 .id_form = ID_JSON_TEXT,
				 .id = "SnapshotId",
				 .title = "SnapshotName",
				 .state = "Status",
				 .parent = "SourceDiskId",
				 .created = "CreationTime",
				 .percent = "Progress",
				 .name_parameter = "SnapshotName",
				 .ready = "accomplished",
				 .failed = "failed",
				 .create_action = "CreateSnapshot",
				 .create_id = "SnapshotId",
				 .delete_action = "DeleteSnapshot",
				 .delete_id = "SnapshotId",
				 .force = true},
	[CLOUD_KIND_IMAGE] = {.name = "image",
			      .product = CLOUD_ECS,
			      .list_action = "DescribeImages",
			      .list_path = "Images.Image",
			      .id_parameter = "ImageId",
			      .id = "ImageId",
			      .title = "ImageName",
			      .state = "Status",
			      .created = "CreationTime",
			      .percent = "Progress",
			      .name_parameter = "ImageName",
			      .ready = "Available",
			      .failed = "CreateFailed UnAvailable",
			      .create_action = "CreateImage",
			      .create_id = "ImageId",
			      .delete_action = "DeleteImage",
			      .delete_id = "ImageId",
			      .force = true},
	[CLOUD_KIND_EXPORT_TASK] = {.name = "export-task",
				    .product = CLOUD_ECS,
				    .list_action = "DescribeTasks",
				    .list_path = "TaskSet.Task",
				    .id_parameter = "TaskIds",
				    .id = "TaskId",
				    .state = "TaskStatus",
				    .parent = "ResourceId",
				    .created = "CreationTime",
				    .percent = "TaskProcess",
				    .ready = "Finished",
				    .failed = "Failed Cancelled Canceled",
				    .create_action = "ExportImage",
				    .create_id = "TaskId",
				    .delete_action = "CancelTask",
				    .delete_id = "TaskId"},
	[CLOUD_KIND_ENS_IMAGE] = {.name = "ens-image",
				  .product = CLOUD_ENS,
				  .list_action = "DescribeSelfImages",
				  .list_path = "Images.Image",
				  .id_parameter = "ImageId",
				  .id = "ImageId",
				  .title = "ImageName",
				  .state = "Status",
				  .created = "CreationTime",
				  .name_parameter = "ImageName",
				  .ready = "Available",
				  .failed = "Pack_failed Upload_failed Unavailable",
				  .create_action = "ImportImage",
				  .create_id = "ImageId",
				  .delete_action = "DeleteImage",
				  .delete_id = "ImageId"},
};

const char *cloud_kind_name(enum cloud_kind kind)
{
	return kinds[kind].name;
}

int cloud_kind_parse(const char *name, enum cloud_kind *out)
{
	for (int i = 0; i < CLOUD_KIND_COUNT; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*out = (enum cloud_kind)i;
			return 0;
		}
	}
	return fail(EINVAL, "\"%s\" is not a kind of thing in the cloud", name);
}

/* ---- reading an item ---- */

/* words: "In_use Available", or NULL. */
static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (; words && *words; words += strspn(words, " ")) {
		size_t here = strcspn(words, " ");

		if (here == n && memcmp(words, word, n) == 0)
			return true;
		words += here;
	}
	return false;
}

static enum cloud_phase phase_of(const struct kind *k, const char *state, const json_t *item)
{
	/* A group has no states. */
	if (!k->state)
		return CLOUD_READY;
	if (has_word(k->failed, state) ||
	    (has_word(k->ready, state) && cloud_get_u64_or(item, "FailedCount", 0) > 0))
		return CLOUD_FAILED;
	/* An image can be Available some time before it can be used. */
	if (has_word(k->ready, state))
		return cloud_get_bool_or(item, "Usable", true) ? CLOUD_READY : CLOUD_PENDING;
	if (has_word(k->stopped, state))
		return CLOUD_STOPPED;
	return has_word(k->leaving, state) ? CLOUD_LEAVING : CLOUD_PENDING;
}

static const char *text_at(const json_t *item, const char *path, struct arena *a)
{
	return path ? arena_strdup(a, cloud_get_string_or(item, path, "")) : "";
}

int thing_read(enum cloud_kind kind, const json_t *item, struct arena *a, struct cloud_thing *out)
{
	const struct kind *k = &kinds[kind];
	const char *id;
	uint64_t percent;
	int rc = cloud_get_string(item, k->id, &id);

	if (rc < 0)
		return rc;
	*out = (struct cloud_thing){.kind = kind,
				    .id = arena_strdup(a, id),
				    .name = text_at(item, k->title, a),
				    .state = text_at(item, k->state, a),
				    .parent = text_at(item, k->parent, a),
				    .created = text_at(item, k->created, a),
				    .item = item};
	out->phase = phase_of(k, out->state, item);
	percent = k->percent ? cloud_get_u64_or(item, k->percent, 0) : 0;
	out->percent = out->phase == CLOUD_READY ? 100 : (unsigned)min_of(percent, (uint64_t)99);
	return 0;
}

/* ---- one and many ---- */

static void keep(struct cloud *c, json_t *list)
{
	json_decref(c->kept);
	c->kept = list;
}

/* An export task tells its progress in a call of its own. */
static int describe_task(struct cloud *c, const char *region, const char *id, struct arena *a,
			 struct cloud_thing *out)
{
	CLEANUP_JSON json_t *params = json_pack("{s:s}", "TaskId", id);
	json_t *reply = NULL;
	int rc = cloud_call(c, CLOUD_ECS, region, "DescribeTaskAttribute", params, &reply);

	if (rc < 0)
		return rc;
	keep(c, reply);
	return thing_read(CLOUD_KIND_EXPORT_TASK, reply, a, out);
}

/* What all lists of a kind are asked with. */
static json_t *list_params(const struct kind *k, const json_t *filter)
{
	json_t *params = filter ? json_deep_copy(filter) : json_object();

	/* Without it images are shown that are Available, and no others. */
	if (strcmp(k->list_action, "DescribeImages") == 0 && k->product == CLOUD_ECS &&
	    !json_object_get(params, "Status"))
		json_object_set_new(params, "Status",
				    json_string("Creating,Waiting,Available,UnAvailable,"
						"CreateFailed"));
	if (strcmp(k->list_action, "DescribeTasks") == 0)
		json_object_set_new(params, "TaskAction", json_string("ExportImage"));
	return params;
}

int cloud_describe(struct cloud *c, enum cloud_kind kind, const char *region, const char *id,
		   struct arena *a, struct cloud_thing *out)
{
	const struct kind *k = &kinds[kind];
	CLEANUP_JSON json_t *params = list_params(k, NULL), *ids = json_pack("[s]", id);
	json_t *list = NULL, *item;
	size_t i;
	int rc;

	if (kind == CLOUD_KIND_EXPORT_TASK)
		return describe_task(c, region, id, a, out);
	json_object_set_new(params, k->id_parameter,
			    json_string(k->id_form == ID_PLAIN ? id : cloud_json_text(a, ids)));
	rc = cloud_call_pages(c, k->product, region, k->list_action, params, k->list_path, &list);
	if (rc < 0)
		return rc;
	keep(c, list);
	/* Some products match fuzzily. */
	json_array_foreach (list, i, item)
		if (strcmp(cloud_get_string_or(item, k->id, ""), id) == 0)
			return thing_read(kind, item, a, out);
	return fail(ENOENT, "%s %s is not there", k->name, id);
}

const char *cloud_thing_tag(const struct cloud_thing *thing, const char *key)
{
	const json_t *tags = cloud_get_list(thing->item, "Tags.Tag");
	size_t i;
	json_t *tag;

	json_array_foreach (tags, i, tag) {
		const char *k =
			cloud_get_string_or(tag, "TagKey", cloud_get_string_or(tag, "Key", ""));

		if (strcmp(k, key) == 0)
			return cloud_get_string_or(tag, "TagValue",
						   cloud_get_string_or(tag, "Value", ""));
	}
	return NULL;
}

/* A thing that shows no tags at all is taken at the list's word. */
static bool has_tag(const struct cloud_thing *thing, const char *key, const char *value)
{
	const char *found = cloud_thing_tag(thing, key);

	return (found && (!value || strcmp(found, value) == 0)) ||
	       !cloud_get_list(thing->item, "Tags.Tag");
}

int cloud_list(struct cloud *c, const struct cloud_list *what, struct arena *a,
	       struct cloud_thing **list, size_t *count)
{
	const struct kind *k = &kinds[what->kind];
	CLEANUP_JSON json_t *params = list_params(k, what->filter);
	json_t *items = NULL, *item;
	size_t i;
	int rc;

	*list = NULL;
	*count = 0;
	if (what->tag_key && !(action_find(k->product, k->list_action)->flags & ACTION_TAGS))
		return fail(ENOTSUP, "%s: this kind has no tags", k->name);
	if (what->tag_key)
		json_object_set_new(
			params, "Tag",
			json_pack("[{s:s, s:s*}]", "Key", what->tag_key, "Value", what->tag_value));
	if (what->name && k->name_parameter)
		json_object_set_new(params, k->name_parameter, json_string(what->name));
	rc = cloud_call_pages(c, k->product, what->region, k->list_action, params, k->list_path,
			      &items);
	if (rc < 0)
		return rc;
	keep(c, items);
	json_array_foreach (items, i, item) {
		struct cloud_thing thing;

		rc = thing_read(what->kind, item, a, &thing);
		if (rc < 0)
			return fail_in(rc, "%s", k->list_action);
		if ((what->name && strcmp(thing.name, what->name) != 0) ||
		    (what->tag_key && !has_tag(&thing, what->tag_key, what->tag_value)))
			continue;
		*arena_push(a, list, count) = thing;
	}
	return 0;
}

int cloud_create(struct cloud *c, enum cloud_kind kind, const char *region, const json_t *params,
		 const char *token, struct arena *a, const char **id)
{
	const struct kind *k = &kinds[kind];
	CLEANUP_JSON json_t *all = params ? json_deep_copy(params) : json_object(), *reply = NULL;
	const char *text;
	int rc;

	if (token && !(action_find(k->product, k->create_action)->flags & ACTION_TOKEN))
		return fail(EINVAL, "%s takes no ClientToken", k->create_action);
	if (token)
		json_object_set_new(all, "ClientToken", json_string(token));
	rc = cloud_call(c, k->product, region, k->create_action, all, &reply);
	if (rc < 0)
		return rc;
	/* The documents' own sample of ExportImage names it otherwise. */
	text = cloud_get_string_or(reply, k->create_id,
				   cloud_get_string_or(reply, "ExportTaskId", NULL));
	if (!text)
		return fail_code(EREMCHG, "CLOUD_REPLY_INVALID", "%s: the reply lacks %s",
				 k->create_action, k->create_id);
	*id = arena_strdup(a, text);
	return 0;
}

int cloud_delete(struct cloud *c, enum cloud_kind kind, const char *region, const char *id)
{
	const struct kind *k = &kinds[kind];
	CLEANUP_JSON json_t *params = json_pack("{s:s}", k->delete_id, id);
	int rc;

	if (k->force)
		json_object_set_new(params, "Force", json_true());
	rc = cloud_call(c, k->product, region, k->delete_action, params, NULL);
	return rc == -ENOENT ? 0 : rc;
}

int cloud_thing_copy(const struct cloud_thing *from, struct arena *a, struct cloud_thing *to)
{
	*to = *from;
	to->id = arena_strdup(a, from->id);
	to->name = arena_strdup(a, from->name);
	to->state = arena_strdup(a, from->state);
	to->parent = arena_strdup(a, from->parent);
	to->created = arena_strdup(a, from->created);
	return 0;
}
