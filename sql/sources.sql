-- A file begins without bytes. Nothing shows it before a data source refers to it.
-- name: InsertFile :one
INSERT INTO files (project_id) VALUES (@project_id) RETURNING id;

-- The next chunk of a file. All files of an upload are touched by each of its chunks: the first must not be taken for one that nobody
-- wants while the last still arrives. A file that was removed meanwhile is refused by the foreign key of its chunks.
-- name: InsertFileChunk :exec
WITH touched AS (
    UPDATE files SET size = size + CASE WHEN id = @file_id THEN octet_length(@body::bytea) ELSE 0 END, touched_at = now()
    WHERE id = ANY (@upload::bigint[])
)
INSERT INTO file_chunks (file_id, ordinal, body) VALUES (@file_id, @ordinal, @body);

-- Readers take a chunk a statement, so that who reads slowly holds no connection.
-- name: GetFileChunk :one
SELECT body FROM file_chunks WHERE file_id = @file_id AND ordinal = @ordinal;

-- Locks files that data sources are about to refer to, so that no clean-up takes them for forgotten ones. A clean-up that removes a file bit
-- by bit shrinks its size first.
-- name: TouchFiles :many
UPDATE files SET touched_at = now() WHERE id = ANY (@ids::bigint[]) RETURNING size;

-- A file that nobody is going to refer to need not wait for its time.
-- name: ForgetFiles :exec
UPDATE files SET touched_at = 'epoch' WHERE id = ANY (@ids::bigint[]);

-- name: CountDataSources :one
SELECT count(*) FROM data_sources WHERE project_id::bigint = @project_id::bigint AND id > 0;

-- name: InsertDataSource :one
INSERT INTO data_sources (project_id, name, description, filename, format, kind, status, error_message, file_id, size, sha256, row_count,
    problem_count, problems, marks, processed_at)
VALUES (@project_id, @name, sqlc.narg(description), @filename, @format, @kind, @status, sqlc.narg(error_message), @file_id, @size, @sha256,
    @row_count, @problem_count, sqlc.narg(problems), sqlc.narg(marks), CASE WHEN @status = 'active' THEN now() END)
RETURNING id, processed_at, created_at, updated_at;

-- The record of an upload that failed, when the same file failed before: a repeat need not add another.
-- name: GetFailedDataSource :one
SELECT id FROM data_sources
WHERE project_id::bigint = @project_id::bigint AND id > 0 AND filename = @filename AND sha256 = @sha256 AND kind = @kind AND status = 'error'
ORDER BY id LIMIT 1;

-- Records without their marks, which only pages need. The planner does not see that an id from a subquery is positive, which is all that the
-- index of a project's records asks: read whole for one of them, that looks as cheap as the primary key while the table is nearly empty.
-- name: GetDataSource :one
SELECT id, project_id, name, description, filename, format, kind, status, error_message, file_id, size, sha256, row_count, problem_count,
    problems, processed_at, created_at, updated_at
FROM data_sources WHERE id = (SELECT @id::int);

-- Their number is maxSources in Go.
-- name: ListDataSources :many
SELECT id, project_id, name, description, filename, format, kind, status, error_message, file_id, size, sha256, row_count, problem_count,
    problems, processed_at, created_at, updated_at
FROM data_sources WHERE project_id::bigint = @project_id::bigint AND id > 0 ORDER BY id LIMIT 1000;

-- name: ListDataSourcesByID :many
SELECT d.id, d.project_id, d.name, d.description, d.filename, d.format, d.kind, d.status, d.error_message, d.file_id, d.size, d.sha256,
    d.row_count, d.problem_count, d.problems, d.processed_at, d.created_at, d.updated_at
FROM unnest(@ids::int[]) i (id) CROSS JOIN LATERAL (
    SELECT s.id, s.project_id, s.name, s.description, s.filename, s.format, s.kind, s.status, s.error_message, s.file_id, s.size, s.sha256,
        s.row_count, s.problem_count, s.problems, s.processed_at, s.created_at, s.updated_at
    FROM data_sources s WHERE s.id = i.id OFFSET 0
) d ORDER BY d.id;

-- Where a row of a table begins whose number is a multiple of 1,000. There is none when the file was replaced meanwhile.
-- name: GetDataSourceMark :one
SELECT coalesce(marks[@number::int], 0)::bigint AS mark
FROM data_sources WHERE id = (SELECT @id::int) AND file_id = @file_id;

-- What people call a source. Null leaves a part as it is; an empty description removes it.
-- name: UpdateDataSource :execrows
UPDATE data_sources SET name = coalesce(sqlc.narg(name), name), filename = coalesce(sqlc.narg(filename), filename),
    description = CASE WHEN sqlc.narg(description)::text IS NULL THEN description ELSE nullif(sqlc.narg(description)::text, '') END,
    updated_at = now()
WHERE id = (SELECT @id::int) AND project_id = @project_id;

-- What was read of a file takes the place of what was known of the former one. A source keeps the time at which it was last read
-- successfully. Nothing is updated when the file is not the one that was expected: somebody else replaced it.
-- name: UpdateDataSourceFile :execrows
UPDATE data_sources SET filename = @filename, format = @format, status = @status, error_message = sqlc.narg(error_message),
    file_id = @file_id, size = @size, sha256 = @sha256, row_count = @row_count, problem_count = @problem_count,
    problems = sqlc.narg(problems), marks = sqlc.narg(marks),
    processed_at = CASE WHEN @status = 'active' THEN now() ELSE processed_at END, updated_at = now()
WHERE id = (SELECT @id::int) AND project_id = @project_id AND (sqlc.narg(expected_file)::bigint IS NULL OR file_id = sqlc.narg(expected_file));

-- name: DeleteDataSource :execrows
DELETE FROM data_sources WHERE id = (SELECT @id::int) AND project_id = @project_id;

-- The nodes of a plan whose config has the member by which nodes name a data source, as JSON. What is a name is decided where names are
-- checked.
-- name: ListNodesOfDataSources :many
SELECT id, (config -> 'dataSourceId')::text AS data_source_id FROM plan_nodes
WHERE project_id = @project_id AND ordinal >= 0 AND node_type = 'DataSourceNode' AND config -> 'dataSourceId' IS NOT NULL
ORDER BY ordinal;

-- name: CountPlanNodes :one
SELECT count(*) FROM plan_nodes WHERE project_id = @project_id AND ordinal >= 0;
