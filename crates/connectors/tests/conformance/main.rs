//! One list of checks that every kind of connector passes against a real server: a store of its own, Postgres, slapd.
//!
//! Begin with [`target`]: what a check needs to know of a kind. [`reads`], [`writes`] and [`hostile`] are the list;
//! `only_*` hold what one kind alone can show.

#![expect(clippy::unwrap_used, reason = "a check that meets what it does not expect fails")]

mod connections;
mod hostile;
mod only_ldap;
mod only_memory;
mod only_sql;
mod proxy;
mod reads;
mod target;
mod writes;

/// Every check for every kind, each as a test of its own: `ldap::a_read_shows_every_account_and_proves_it`.
macro_rules! conformance {
    ($($group:ident: $($check:ident),+;)+) => {
        conformance!(@kind memory, $($group: $($check),+;)+);
        conformance!(@kind sql, $($group: $($check),+;)+);
        conformance!(@kind ldap, $($group: $($check),+;)+);
    };
    (@kind $kind:ident, $($group:ident: $($check:ident),+;)+) => {
        mod $kind {
            $($(
                #[tokio::test]
                async fn $check() {
                    crate::$group::$check(&crate::target::$kind().await).await;
                }
            )+)+
        }
    };
}

conformance! {
    reads:
        a_read_shows_every_account_and_proves_it,
        a_read_of_many_pages_shows_each_account_once,
        a_read_asks_for_no_more_attributes_than_wanted,
        a_read_without_its_sentinels_is_not_complete,
        an_account_is_got_by_its_uid_and_by_its_immutable_id,
        the_same_uid_with_another_immutable_id_is_not_the_account,
        many_accounts_are_got_in_the_order_of_their_keys,
        accounts_are_found_by_the_value_of_an_attribute,
        a_check_of_a_good_connection_passes_every_step,
        bad_credentials_are_told_from_everything_else,
        a_target_that_cannot_be_reached_is_down;
    writes:
        a_created_account_is_there_with_all_it_was_given,
        a_second_create_of_the_same_name_is_refused_as_existing,
        an_update_sets_and_clears_whole_values,
        an_update_adds_and_removes_single_values,
        values_already_there_or_already_gone_are_left_as_they_are,
        an_account_is_disabled_and_enabled_again,
        a_renamed_account_keeps_its_immutable_id,
        a_rename_to_a_taken_name_is_refused_as_existing,
        a_deleted_account_is_gone,
        what_is_not_there_is_neither_updated_nor_deleted,
        a_write_with_an_old_version_changes_nothing,
        a_write_by_immutable_id_never_hits_another_account_of_the_same_name;
    hostile:
        hostile_values_come_back_literally_or_are_refused,
        hostile_names_come_back_literally_or_are_refused,
        hostile_values_find_only_themselves,
        a_refusal_never_repeats_a_written_value;
}
