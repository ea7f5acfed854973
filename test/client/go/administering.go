package main

import (
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// What kafka.Client does with groups.
var administering = []scenario{
	{"a client lists and describes groups", listAndDescribe},
	{"a client commits, fetches and deletes offsets of a group without members", simpleOffsets},
	{"a client deletes an empty group, not one with members", deleteGroups},
	{"a client joins, syncs, beats and leaves by hand", byHand},
	{"a group that is not there is Dead", dead},
}

func listAndDescribe(c *context_) {
	topic, group := c.topic(2), c.name("group")
	c.send(topic, 0, 4)
	reader := c.groupReader(group, topic, func(config *kafka.ReaderConfig) {
		config.Dialer = &kafka.Dialer{ClientID: "the-client", Timeout: deadline}
	})
	defer reader.Close()
	read(reader, 4)
	answer, err := c.client().ListGroups(within(deadline), &kafka.ListGroupsRequest{})
	must(err, "list groups")
	must(answer.Error, "list groups")
	found := false
	for _, listed := range answer.Groups {
		found = found || listed.GroupID == group
	}
	equal(found, true, "group is listed")
	c.settled(group, 2)
	member := c.describe(group).Members[0]
	equal(member.ClientID, "the-client", "client id")
	if member.ClientHost != "/127.0.0.1" {
		fail("client host: got %s", member.ClientHost)
	}
	equal(member.MemberMetadata.Topics, []string{topic}, "subscription")
	equal(member.MemberAssignments.Topics[0].Topic, topic, "assigned topic")
	coordinator, err := c.client().FindCoordinator(within(deadline), &kafka.FindCoordinatorRequest{Key: group,
		KeyType: kafka.CoordinatorKeyTypeConsumer})
	must(err, "find the coordinator")
	must(coordinator.Error, "find the coordinator")
	equal(fmt.Sprintf("%s:%d", coordinator.Coordinator.Host, coordinator.Coordinator.Port), c.bootstrap, "coordinator")
}

func simpleOffsets(c *context_) {
	topic, group := c.topic(3), c.name("group")
	answer, err := c.client().OffsetCommit(within(deadline), &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 11, Metadata: "note"}, {Partition: 2, Offset: 33}}}})
	must(err, "commit")
	for _, p := range answer.Topics[topic] {
		must(p.Error, "commit a partition")
	}
	equal(c.committed(group, topic, 3), []int64{11, -1, 33}, "committed offsets")
	fetched, err := c.client().OffsetFetch(within(deadline), &kafka.OffsetFetchRequest{GroupID: group,
		Topics: map[string][]int{topic: {0}}})
	must(err, "fetch")
	equal(fetched.Topics[topic][0].Metadata, "note", "metadata")
	byTopic, err := c.client().ConsumerOffsets(within(deadline), kafka.TopicAndGroup{Topic: topic, GroupId: group})
	must(err, "ConsumerOffsets")
	equal(byTopic, map[int]int64{0: 11, 1: -1, 2: 33}, "ConsumerOffsets")
	deleted, err := c.client().OffsetDelete(within(deadline), &kafka.OffsetDeleteRequest{GroupID: group,
		Topics: map[string][]int{topic: {0}}})
	must(err, "delete an offset")
	must(deleted.Error, "delete an offset")
	must(deleted.Topics[topic][0].Error, "delete an offset")
	equal(c.committed(group, topic, 3), []int64{-1, -1, 33}, "offsets that are left")
}

func (c *context_) deleteGroup(group string) error {
	answer, err := c.client().DeleteGroups(within(deadline), &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	must(err, "delete the group")
	return answer.Errors[group]
}

func deleteGroups(c *context_) {
	topic, group := c.topic(1), c.name("group")
	c.send(topic, 0, 5)
	reader := c.groupReader(group, topic, nil)
	read(reader, 5)
	isError(c.deleteGroup(group), kafka.NonEmptyGroup, "deletion of a group with a member")
	must(reader.Close(), "close the reader")
	eventually("deletion of the empty group", func() string {
		if err := c.deleteGroup(group); err != nil {
			return err.Error()
		}
		return ""
	})
	equal(c.committed(group, topic, 1), []int64{-1}, "offset after the deletion")
	isError(c.deleteGroup(group), kafka.GroupIdNotFound, "a second deletion")
}

func byHand(c *context_) {
	topic, group := c.topic(2), c.name("group")
	client := c.client()
	join := &kafka.JoinGroupRequest{GroupID: group, SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second,
		ProtocolType: "consumer", Protocols: []kafka.GroupProtocol{{Name: "mine",
			Metadata: kafka.GroupProtocolSubscription{Topics: []string{topic}, UserData: []byte("data")}}}}
	joined, err := client.JoinGroup(within(deadline), join)
	must(err, "join")
	if joined.Error == kafka.MemberIDRequired { // KIP-394, from version 4 on
		join.MemberID = joined.MemberID
		joined, err = client.JoinGroup(within(deadline), join)
		must(err, "join with the member id")
	}
	must(joined.Error, "join")
	equal([]interface{}{joined.GenerationID, joined.ProtocolName, joined.LeaderID, len(joined.Members)},
		[]interface{}{1, "mine", joined.MemberID, 1}, "generation, protocol, leader, members")
	equal(joined.Members[0].Metadata.Topics, []string{topic}, "subscription the leader sees")
	equal(string(joined.Members[0].Metadata.UserData), "data", "user data the leader sees")
	synced, err := client.SyncGroup(within(deadline), &kafka.SyncGroupRequest{GroupID: group, GenerationID: 1,
		MemberID: joined.MemberID, ProtocolType: "consumer", ProtocolName: "mine",
		Assignments: []kafka.SyncGroupRequestAssignment{{MemberID: joined.MemberID,
			Assignment: kafka.GroupProtocolAssignment{AssignedPartitions: map[string][]int{topic: {0, 1}}}}}})
	must(err, "sync")
	must(synced.Error, "sync")
	equal(synced.Assignment.AssignedPartitions, map[string][]int{topic: {0, 1}}, "assignment")
	beat := &kafka.HeartbeatRequest{GroupID: group, GenerationID: 1, MemberID: joined.MemberID}
	beaten, err := client.Heartbeat(within(deadline), beat)
	must(err, "heartbeat")
	must(beaten.Error, "heartbeat")
	isError(c.commitAs(group, topic, joined.MemberID, 7), kafka.IllegalGeneration, "commit of a wrong generation")
	must(c.commitAs(group, topic, joined.MemberID, 1), "commit of a member")
	left, err := client.LeaveGroup(within(deadline), &kafka.LeaveGroupRequest{GroupID: group,
		Members: []kafka.LeaveGroupRequestMember{{ID: joined.MemberID}}})
	must(err, "leave")
	must(left.Error, "leave")
	isError(c.commitAs(group, topic, joined.MemberID, 1), kafka.UnknownMemberId, "commit after leaving")
}

func (c *context_) commitAs(group, topic, member string, generation int) error {
	answer, err := c.client().OffsetCommit(within(deadline), &kafka.OffsetCommitRequest{GroupID: group, MemberID: member,
		GenerationID: generation, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 1}}}})
	must(err, "commit")
	return answer.Topics[topic][0].Error
}

func dead(c *context_) {
	described := c.describe(c.name("nobody"))
	equal(described.GroupState, "Dead", "state")
	equal(len(described.Members), 0, "members")
}
