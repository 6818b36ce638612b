<?php
/** indexing.show and indexing.set: whether search engines are asked to index the site. */

namespace Latchkey;

$show = static function (): array {
    return ['indexed' => (string) get_option('blog_public') !== '0'];
};

return [
    'show' => ['wordpress' => true, 'run' => $show],
    'set' => ['wordpress' => true, 'run' => static function (array $args) use ($show): array {
        if (!is_bool($args['indexed'] ?? null)) {
            throw new ActionError('invalid', 'Expected indexed to be true or false.');
        }
        update_option('blog_public', $args['indexed'] ? '1' : '0');
        return $show();
    }],
];
