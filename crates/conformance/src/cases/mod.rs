//! The list of cases.

mod changes;
mod faults;
mod hostile;
mod premises;
mod reads;
mod schema;
mod writes;

use crate::Case;

macro_rules! cases {
    ($($group:ident: $($name:ident),+;)+) => {
        /// Every case, in the order in which they run.
        pub const CASES: &[Case] = &[$($(
            Case {
                group: stringify!($group),
                name: stringify!($name),
                run: |target| Box::pin($group::$name(target)),
            },
        )+)+];
    };
}

cases! {
    reads:
        a_check_of_a_good_connection_passes_every_step,
        a_read_shows_every_account_and_proves_it,
        a_read_of_many_pages_shows_each_account_once,
        a_read_asks_for_no_more_attributes_than_wanted,
        a_read_without_its_sentinel_is_not_complete,
        an_account_is_got_by_its_uid_and_by_its_immutable_id,
        the_same_uid_with_another_immutable_id_is_not_the_account,
        many_accounts_are_got_in_the_order_of_their_keys,
        accounts_are_found_by_the_value_of_an_attribute;
    writes:
        a_created_account_is_there_with_all_it_was_given,
        a_second_create_of_the_same_name_is_refused_as_existing,
        an_update_sets_and_clears_whole_values,
        an_update_adds_and_removes_single_values,
        values_already_there_or_already_gone_are_left_as_they_are,
        an_account_is_made_disabled,
        an_account_is_disabled_and_enabled_again,
        a_renamed_account_keeps_its_immutable_id,
        a_rename_to_a_taken_name_is_refused_as_existing,
        a_deleted_account_is_gone,
        what_is_not_there_is_neither_updated_nor_deleted;
    premises:
        a_write_with_an_old_version_changes_nothing,
        a_write_by_immutable_id_follows_a_renamed_account,
        a_write_by_immutable_id_never_hits_another_account_of_the_same_name,
        of_two_writes_with_the_same_version_one_is_refused;
    changes:
        nothing_changed_is_no_change,
        what_was_made_changed_and_renamed_since_is_told,
        a_delete_is_told_by_a_tombstone_or_not_at_all,
        a_watermark_of_nobody_is_refused_as_expired;
    schema:
        the_schema_names_the_attributes_that_accounts_have;
    hostile:
        any_text_comes_back_literally_or_is_refused,
        any_name_comes_back_literally_or_is_refused,
        hostile_values_come_back_literally_or_are_refused,
        hostile_names_come_back_literally_or_are_refused,
        hostile_values_find_only_themselves,
        long_values_come_back_whole_or_are_refused,
        a_refusal_never_repeats_a_written_value;
    faults:
        bad_credentials_are_told_from_everything_else,
        a_target_that_cannot_be_reached_is_down,
        a_server_that_never_answers_is_given_up,
        a_slow_server_is_waited_for,
        a_write_whose_answer_is_lost_is_unknown_and_happened,
        a_create_whose_answer_is_lost_is_unknown_and_can_be_read_back,
        a_write_that_vanished_is_never_called_done,
        a_read_whose_connection_breaks_has_no_proof,
        a_dropped_connection_is_replaced;
}
