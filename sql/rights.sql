-- The roles of an account in some projects. A role counts once its invitation was accepted, until it is taken away or the account disabled.
-- name: ListRoles :many
SELECT project_id, role FROM collaborators
WHERE user_id = @user_id AND project_id = ANY (@project_ids::int[]) AND status = 'accepted' AND active
    AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = @user_id);

-- The role of an account in one project, read under the lock of the project's head.
-- name: GetRole :one
SELECT role FROM collaborators WHERE project_id = @project_id AND user_id = @user_id AND status = 'accepted' AND active
    AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = @user_id);

-- name: GetProjectOfPlan :one
SELECT project_id FROM plans WHERE id = @id;

-- For the subquery see GetDataSource.
-- name: GetProjectOfSource :one
SELECT project_id FROM data_sources WHERE id = (SELECT @id::int);

-- name: GetProjectOfGraph :one
SELECT project_id FROM graphs WHERE id = @id;
