#!/usr/bin/env bash
# changelog.sh VERSION: what each version brought, the newest first: VERSION is HEAD, the others are tags.
set -euo pipefail

title=${1:?usage: changelog.sh VERSION}
upper=HEAD
echo '# Changes'
for tag in $(git tag --list 'v*' --sort=-version:refname --merged HEAD) ''; do
  [ "$tag" = "$title" ] && continue
  printf '\n## %s (%s)\n\n' "$title" "$(git log -1 --format=%cs "$upper")"
  git log --no-merges --format='- %s' "${tag:+$tag..}$upper"
  title=$tag upper=$tag
done
