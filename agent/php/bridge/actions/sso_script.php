<?php
/**
 * sso_script.write and sso_script.remove: the one-use file of the redeemer `script`, in the docroot.
 *
 * Written for one WordPress user, who is looked up first, and after their baseline was taken.
 */

namespace Latchkey;

require_once dirname(__DIR__) . '/scripts.php';

return [
    'write' => ['wordpress' => true, 'run' => static function (array $args): array {
        $granted = $args['granted'] ?? null;
        $whole = Scripts\is_name($args['name'] ?? null)
            && preg_match('/^[0-9a-f]{64}$/D', (string) ($args['token_hash'] ?? '')) === 1
            && is_int($args['expires_at'] ?? null)
            && is_string($args['instance'] ?? null) && is_string($args['socket'] ?? null) && is_string($args['gateway'] ?? null)
            && is_int($granted['user']['id'] ?? null) && is_string($granted['user']['login'] ?? null)
            && is_int($granted['expires_at'] ?? null) && is_string($granted['mark'] ?? null);
        if (!$whole) {
            throw new ActionError('invalid', 'Expected a hand-over.');
        }
        $user = Accounts\member($granted['user']['id']);
        if ($user === null || $user->user_login !== $granted['user']['login']) {
            return ['mismatch' => $user === null ? 'user_missing' : 'login_changed'];
        }
        $written = [
            'baseline' => Accounts\baseline($user),
            'administrator' => Accounts\is_administrator($user),
            'path' => (string) parse_url(site_url('/'), PHP_URL_PATH),
        ];
        Scripts\save($args['name'], Scripts\compose(array_intersect_key($args, array_flip(
            ['token_hash', 'expires_at', 'instance', 'socket', 'gateway', 'granted']
        ))));
        return ['written' => $written];
    }],
    'remove' => ['wordpress' => false, 'run' => static function (array $args): array {
        return ['removed' => Scripts\remove((array) ($args['names'] ?? []))];
    }],
];
