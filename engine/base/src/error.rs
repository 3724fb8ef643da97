//! The error that crosses crate boundaries.
//!
//! **Vocabulary.** An error has a *kind*, named by what the caller does next (retry, give up, free
//! space, call an operator), a *SQLSTATE*, which is what clients see, and a *message* that says what
//! happened, on which object, and what to do.
//!
//! **Guarantee.** One table, [`ErrorKind::default_state`], [`ErrorKind::http_status`] and
//! [`ErrorKind::grpc_code`], maps a kind to each protocol; the edges translate with it and decide nothing.
//! A literal of a user's statement may stand in a message to that user, never in a log line.
//!
//! Follows PostgreSQL's Appendix A (error codes) and its error fields (detail, hint, position, table,
//! column, constraint).

use std::fmt;

/// The result type of the engine's public functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and will stay wrong: change it.
    Invalid,
    /// The named object does not exist.
    NotFound,
    /// The request lost against another one, or contradicts what is stored: retry or resolve.
    Conflict,
    /// The service cannot answer now: retry later, or elsewhere.
    Unavailable,
    /// The caller lacks the right.
    Denied,
    /// A limit was reached: memory, disk, time, size, connections.
    Exhausted,
    /// Stored bytes are not what was written: restore the named file.
    Corrupt,
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// The SQLSTATE of an error that names none of its own.
    pub const fn default_state(self) -> SqlState {
        match self {
            Self::Invalid => SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
            Self::NotFound => SqlState::UNDEFINED_OBJECT,
            Self::Conflict => SqlState::SERIALIZATION_FAILURE,
            Self::Unavailable => SqlState::CANNOT_CONNECT_NOW,
            Self::Denied => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::Exhausted => SqlState::INSUFFICIENT_RESOURCES,
            Self::Corrupt => SqlState::DATA_CORRUPTED,
            Self::Internal => SqlState::INTERNAL_ERROR,
        }
    }

    /// The HTTP status of this kind (RFC 9110).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Unavailable => 503,
            Self::Denied => 403,
            Self::Exhausted => 429,
            Self::Corrupt | Self::Internal => 500,
        }
    }

    /// The gRPC status code of this kind (numbers of `google.rpc.Code`).
    pub const fn grpc_code(self) -> i32 {
        match self {
            Self::Invalid => 3,
            Self::NotFound => 5,
            Self::Conflict => 10,
            Self::Unavailable => 14,
            Self::Denied => 7,
            Self::Exhausted => 8,
            Self::Corrupt => 15,
            Self::Internal => 13,
        }
    }
}

/// A five-character SQLSTATE (ISO/IEC 9075, PostgreSQL Appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

macro_rules! states {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState {
            $(#[doc = concat!("`", $code, "`")] pub const $name: Self = Self::new($code);)*
        }
    };
}

states! {
    SUCCESSFUL_COMPLETION = "00000";
    WARNING = "01000";
    CONNECTION_EXCEPTION = "08000";
    PROTOCOL_VIOLATION = "08P01";
    FEATURE_NOT_SUPPORTED = "0A000";
    CARDINALITY_VIOLATION = "21000";
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    NULL_VALUE_NOT_ALLOWED = "22004";
    INVALID_DATETIME_FORMAT = "22007";
    DATETIME_FIELD_OVERFLOW = "22008";
    DIVISION_BY_ZERO = "22012";
    INTERVAL_FIELD_OVERFLOW = "22015";
    INVALID_REGULAR_EXPRESSION = "2201B";
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION = "2201G";
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = "2201W";
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    INVALID_PARAMETER_VALUE = "22023";
    INVALID_ESCAPE_SEQUENCE = "22025";
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    INVALID_SQL_JSON_SUBSCRIPT = "22033";
    NON_NUMERIC_SQL_JSON_ITEM = "22036";
    SINGLETON_SQL_JSON_ITEM_REQUIRED = "22038";
    SQL_JSON_ARRAY_NOT_FOUND = "22039";
    SQL_JSON_MEMBER_NOT_FOUND = "2203A";
    SQL_JSON_NUMBER_NOT_FOUND = "2203B";
    SQL_JSON_OBJECT_NOT_FOUND = "2203C";
    DATA_EXCEPTION = "22000";
    INVALID_TEXT_REPRESENTATION = "22P02";
    INVALID_BINARY_REPRESENTATION = "22P03";
    BAD_COPY_FILE_FORMAT = "22P04";
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = "2200H";
    UNTRANSLATABLE_CHARACTER = "22P05";
    NOT_NULL_VIOLATION = "23502";
    FOREIGN_KEY_VIOLATION = "23503";
    UNIQUE_VIOLATION = "23505";
    CHECK_VIOLATION = "23514";
    INVALID_CURSOR_STATE = "24000";
    ACTIVE_SQL_TRANSACTION = "25001";
    READ_ONLY_SQL_TRANSACTION = "25006";
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    IN_FAILED_SQL_TRANSACTION = "25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03";
    INVALID_SQL_STATEMENT_NAME = "26000";
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    INVALID_PASSWORD = "28P01";
    INVALID_CURSOR_NAME = "34000";
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    INVALID_CATALOG_NAME = "3D000";
    INVALID_SCHEMA_NAME = "3F000";
    SERIALIZATION_FAILURE = "40001";
    STATEMENT_COMPLETION_UNKNOWN = "40003";
    DEADLOCK_DETECTED = "40P01";
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = "42000";
    INSUFFICIENT_PRIVILEGE = "42501";
    SYNTAX_ERROR = "42601";
    INVALID_NAME = "42602";
    INVALID_COLUMN_DEFINITION = "42611";
    NAME_TOO_LONG = "42622";
    DUPLICATE_COLUMN = "42701";
    AMBIGUOUS_COLUMN = "42702";
    UNDEFINED_COLUMN = "42703";
    UNDEFINED_OBJECT = "42704";
    DUPLICATE_OBJECT = "42710";
    DUPLICATE_ALIAS = "42712";
    AMBIGUOUS_FUNCTION = "42725";
    GROUPING_ERROR = "42803";
    WINDOWING_ERROR = "42P20";
    DATATYPE_MISMATCH = "42804";
    WRONG_OBJECT_TYPE = "42809";
    INVALID_FOREIGN_KEY = "42830";
    CANNOT_COERCE = "42846";
    UNDEFINED_FUNCTION = "42883";
    GENERATED_ALWAYS = "428C9";
    RESERVED_NAME = "42939";
    UNDEFINED_TABLE = "42P01";
    UNDEFINED_PARAMETER = "42P02";
    DUPLICATE_CURSOR = "42P03";
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    DUPLICATE_SCHEMA = "42P06";
    DUPLICATE_TABLE = "42P07";
    INVALID_COLUMN_REFERENCE = "42P10";
    INVALID_CURSOR_DEFINITION = "42P11";
    INVALID_TABLE_DEFINITION = "42P16";
    INDETERMINATE_DATATYPE = "42P18";
    INVALID_OBJECT_DEFINITION = "42P17";
    INSUFFICIENT_RESOURCES = "53000";
    DISK_FULL = "53100";
    OUT_OF_MEMORY = "53200";
    TOO_MANY_CONNECTIONS = "53300";
    CONFIGURATION_LIMIT_EXCEEDED = "53400";
    PROGRAM_LIMIT_EXCEEDED = "54000";
    STATEMENT_TOO_COMPLEX = "54001";
    TOO_MANY_COLUMNS = "54011";
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    OBJECT_IN_USE = "55006";
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    LOCK_NOT_AVAILABLE = "55P03";
    QUERY_CANCELED = "57014";
    ADMIN_SHUTDOWN = "57P01";
    CANNOT_CONNECT_NOW = "57P03";
    IDLE_SESSION_TIMEOUT = "57P05";
    IO_ERROR = "58030";
    UNDEFINED_FILE = "58P01";
    DUPLICATE_FILE = "58P02";
    SNAPSHOT_TOO_OLD = "72000";
    LOCK_FILE_EXISTS = "F0001";
    INTERNAL_ERROR = "XX000";
    DATA_CORRUPTED = "XX001";
    INDEX_CORRUPTED = "XX002";
}

impl SqlState {
    const fn new(code: &str) -> Self {
        let bytes = code.as_bytes();
        assert!(bytes.len() == 5, "a SQLSTATE has five characters");
        Self([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, on which object, and what to do about it.
///
/// Cheap to move (one pointer). Build it with [`Error::new`] or a kind's constructor and add fields
/// with the `with_` methods.
pub struct Error(Box<Fields>);

struct Fields {
    kind: ErrorKind,
    state: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

macro_rules! kinds {
    ($($constructor:ident $kind:ident;)*) => {
        $(#[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
        pub fn $constructor(state: SqlState, message: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, state, message)
        })*
    };
}

impl Error {
    /// An error of `kind` with the SQLSTATE `state`.
    pub fn new(kind: ErrorKind, state: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            kind,
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
            source: None,
        }))
    }

    kinds! {
        invalid Invalid;
        not_found NotFound;
        conflict Conflict;
        unavailable Unavailable;
        denied Denied;
        exhausted Exhausted;
    }

    /// Stored bytes are damaged; `message` names the file and what was expected.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, SqlState::DATA_CORRUPTED, message)
    }

    /// A defect of ours; `message` says which expectation failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, SqlState::INTERNAL_ERROR, message)
    }

    /// A statement or option that we know and do not do (0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// A failed system call: `doing` says what was attempted and on which file.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        let (kind, state) = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                (ErrorKind::Exhausted, SqlState::DISK_FULL)
            }
            std::io::ErrorKind::NotFound => (ErrorKind::NotFound, SqlState::UNDEFINED_FILE),
            std::io::ErrorKind::PermissionDenied => (ErrorKind::Denied, SqlState::INSUFFICIENT_PRIVILEGE),
            _ => (ErrorKind::Unavailable, SqlState::IO_ERROR),
        };
        Self::new(kind, state, format!("could not {doing}: {source}")).with_source(source)
    }

    /// Adds the detail line: facts beyond the message.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the hint line: what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the position in the statement: characters, the first is 1.
    pub fn with_position(mut self, position: usize) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the schema of the object.
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self
    }

    /// Adds the table of the object.
    pub fn with_table(mut self, table: impl Into<String>) -> Self {
        self.0.table = Some(table.into());
        self
    }

    /// Adds the column.
    pub fn with_column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    /// Adds the constraint.
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.constraint = Some(constraint.into());
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What clients see.
    pub fn state(&self) -> SqlState {
        self.0.state
    }

    /// What happened, on which object.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Facts beyond the message.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What to do.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where in the statement: characters, the first is 1.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }

    /// The schema concerned.
    pub fn schema(&self) -> Option<&str> {
        self.0.schema.as_deref()
    }

    /// The table concerned.
    pub fn table(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    /// The column concerned.
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// The constraint concerned.
    pub fn constraint(&self) -> Option<&str> {
        self.0.constraint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.state)?;
        if let Some(detail) = &self.0.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
