<?php
/** wp_user.find: one WordPress user by id. */

namespace Latchkey;

return [
    'find' => ['wordpress' => true, 'run' => static function (array $args): array {
        if (!is_int($args['id'] ?? null) || $args['id'] < 1) {
            throw new ActionError('invalid', 'Expected id to be a whole number from 1.');
        }
        $user = Accounts\member($args['id']);
        if ($user === null) {
            return ['user' => null];
        }
        return ['user' => Accounts\summary($user) + ['administrator' => Accounts\is_administrator($user)]];
    }],
];
