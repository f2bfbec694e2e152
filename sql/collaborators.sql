-- Collaborators of a project that were not removed, whatever became of their invitation, by id.
-- name: ListCollaborators :many
SELECT * FROM collaborators WHERE project_id = @project_id AND active ORDER BY id LIMIT 1000;

-- name: GetCollaborator :one
SELECT * FROM collaborators WHERE id = @id;

-- name: GetCollaboratorOf :one
SELECT * FROM collaborators WHERE project_id = @project_id AND user_id = @user_id;

-- For the sum see ListSessions.
-- name: ListCollaborationsOf :many
SELECT * FROM collaborators WHERE user_id = @user_id AND active ORDER BY id + 0 LIMIT 1000;

-- Invites somebody, also somebody who declined or was removed. It does nothing when they are invited or collaborate already.
-- name: InviteCollaborator :one
INSERT INTO collaborators (project_id, user_id, role, status, invited_by) VALUES (@project_id, @user_id, @role, 'pending', @invited_by)
ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role, status = 'pending', active = true, invited_by = excluded.invited_by,
    invited_at = now(), joined_at = NULL, updated_at = now()
WHERE NOT collaborators.active OR collaborators.status = 'declined'
RETURNING *;

-- name: AcceptCollaboration :one
UPDATE collaborators SET status = 'accepted', joined_at = now(), last_active_at = now(), updated_at = now()
WHERE id = @id AND user_id = @user_id AND active AND status = 'pending' RETURNING *;

-- name: DeclineCollaboration :one
UPDATE collaborators SET status = 'declined', updated_at = now() WHERE id = @id AND user_id = @user_id AND active AND status = 'pending' RETURNING *;

-- name: SetCollaboratorRole :one
UPDATE collaborators SET role = @role, last_active_at = now(), updated_at = now() WHERE id = @id AND active RETURNING *;

-- name: RemoveCollaborator :one
UPDATE collaborators SET active = false, status = 'revoked', updated_at = now() WHERE id = @id AND active RETURNING *;

-- Who is disabled owns nothing.
-- name: CountOwners :one
SELECT count(*)::int FROM collaborators c JOIN users u ON u.id = c.user_id
WHERE c.project_id = @project_id AND c.role = 'owner' AND c.status = 'accepted' AND c.active AND u.disabled_at IS NULL;
