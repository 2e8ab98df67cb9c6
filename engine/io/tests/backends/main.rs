//! One suite for all back ends: every test here runs on each of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod connected;
mod failures;
mod flows;
mod lifecycle;
mod pressure;
mod quiet;
mod support;
mod trains;
mod waiting;

macro_rules! on_each_back_end {
    ($($module:ident: $($name:ident),+;)+) => {
        mod uring {
            $($(#[test]
            fn $name() {
                crate::support::run(weirgate_io::IoKind::Uring, crate::$module::$name);
            })+)+
        }

        mod mmsg {
            $($(#[test]
            fn $name() {
                crate::support::run(weirgate_io::IoKind::Mmsg, crate::$module::$name);
            })+)+
        }
    };
}

on_each_back_end! {
    flows:
        answers_leave_from_the_ipv4_address_that_was_hit,
        answers_leave_from_the_ipv6_address_that_was_hit,
        a_socket_of_one_address_has_no_choice_of_source,
        empty_datagrams_arrive_among_others,
        datagrams_up_to_the_longest_pass_both_ways,
        a_port_shared_by_two_shards_gets_disjoint_flows;
    trains:
        trains_of_every_length_arrive_as_their_datagrams,
        trains_arrive_joined_and_are_split_again,
        joining_can_be_turned_off,
        segmentation_can_be_turned_off,
        more_trains_than_one_call_takes_stay_in_order,
        long_and_short_runs_of_sockets_stay_in_order,
        trains_of_several_sockets_stay_in_order_per_destination;
    pressure:
        more_datagrams_than_buffers_all_arrive,
        more_datagrams_than_the_bound_arrive_by_several_calls,
        a_flood_on_one_socket_does_not_starve_another,
        drops_of_a_full_socket_are_counted;
    lifecycle:
        sockets_come_and_go_in_mid_traffic,
        a_removed_socket_frees_its_port,
        a_closed_back_end_frees_its_ports,
        datagrams_of_a_removed_socket_take_no_buffers_away,
        datagrams_of_a_removed_socket_are_not_its_successors,
        hundreds_of_sockets_keep_their_names,
        an_id_in_use_and_a_socket_too_many_are_refused;
    waiting:
        a_wake_ends_a_sleep,
        a_wake_before_the_sleep_counts,
        a_wake_is_used_up,
        a_datagram_tells_how_long_it_waited,
        what_came_later_waited_for_less,
        timeouts_end_a_sleep,
        a_datagram_ends_a_sleep,
        datagrams_gather_in_a_sleep_where_the_kernel_can;
    quiet:
        what_is_no_media_ends_no_sleep_of_a_hushed_media_port,
        a_socket_is_quiet_until_media_come_by_it,
        nothing_is_lost_while_sockets_become_quiet_and_wake,
        more_than_one_look_takes_is_looked_for_again_before_a_sleep,
        hundreds_of_quiet_sockets_are_all_heard,
        a_removed_quiet_socket_frees_its_port;
    connected:
        a_connected_socket_hears_its_peer_only,
        a_connected_socket_sends_to_its_peer_and_to_others,
        a_peer_that_comes_back_misses_nothing_for_having_been_away,
        busy_polling_waits_like_any_other;
    failures:
        a_closed_port_disturbs_nobody,
        what_can_not_be_sent_is_told_and_the_rest_goes,
        refused_offload_falls_back_for_that_destination_only,
        segments_over_the_mtu_go_one_by_one,
        a_bad_source_is_not_held_against_the_destination,
        a_socket_that_is_not_there_fails_its_trains;
}
