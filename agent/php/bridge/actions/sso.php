<?php
/** sso.users: the WordPress users one can log in as, in pages ordered by id. */

namespace Latchkey;

return [
    'users' => ['wordpress' => true, 'run' => static function (array $args): array {
        global $wpdb;
        $limit = $args['limit'] ?? 1000;
        $after = $args['after_id'] ?? 0;
        if (!is_int($limit) || $limit < 1 || $limit > 1000 || !is_int($after) || $after < 0) {
            throw new ActionError('invalid', 'Expected limit to be 1 to 1000 and after_id a whole number from 0.');
        }
        // On a multisite only the members of this site; on a single site also users without a role.
        $join = is_multisite() ? 'INNER' : 'LEFT';
        $ids = $wpdb->get_col($wpdb->prepare(
            "SELECT DISTINCT u.ID FROM {$wpdb->users} u $join JOIN {$wpdb->usermeta} m ON m.user_id = u.ID AND m.meta_key = %s
             WHERE u.ID > %d ORDER BY u.ID LIMIT %d",
            $wpdb->get_blog_prefix() . 'capabilities',
            $after,
            $limit + 1
        ));
        if ($wpdb->last_error !== '') {
            throw new ActionError('database', $wpdb->last_error);
        }
        $page = array_map('intval', array_slice($ids, 0, $limit));
        cache_users($page);
        $items = [];
        foreach ($page as $id) {
            $user = get_userdata($id);
            if ($user) {
                $items[] = Accounts\summary($user);
            }
        }
        return ['items' => $items] + (count($ids) > $limit ? ['next_after_id' => end($page)] : []);
    }],
];
